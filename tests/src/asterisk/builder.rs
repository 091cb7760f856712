// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Describes a node, writes its folder and starts it.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use super::configuration::Configuration;
use super::{Asterisk, Ports, Version};
use crate::folder::Folder;
use crate::ports;
use crate::root::{Inside, checkout};
use crate::server::Server;
use crate::valgrind;
use crate::wait::seconds;

const RTP_PORTS: u16 = 100;
const DATA_FOLDER: &str = "/usr/share/asterisk";

/// A node to be.
#[derive(Debug)]
#[must_use]
pub struct Builder {
    version: Version,
    entity_id: String,
    sip_port: Option<u16>,
    files: BTreeMap<String, String>,
    appended: Vec<(String, String)>,
    extensions: Vec<String>,
    modules: Vec<(String, PathBuf, bool)>,
    loaded: Vec<String>,
    documentation: Vec<(String, PathBuf)>,
    rest_api: Vec<PathBuf>,
    options: Vec<String>,
    environment: Vec<(String, String)>,
    valgrind: bool,
    shared: Vec<PathBuf>,
}

/// `/etc/hosts` of a node, with these lines. Asterisk asks for the name of its machine, and for that of
/// a root server, at each SIP call: where no name server answers, that would be seconds.
pub fn hosts_with(lines: &str) -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("127.0.0.1 localhost {} a.root-servers.net\n{lines}", name.trim())
}

impl Builder {
    pub(super) fn new(version: Version) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let builder = Self {
            version,
            entity_id: format!("02:00:00:00:{high:02x}:{low:02x}"),
            sip_port: None,
            files: BTreeMap::new(),
            appended: Vec::new(),
            extensions: Vec::new(),
            modules: Vec::new(),
            loaded: Vec::new(),
            documentation: Vec::new(),
            rest_api: Vec::new(),
            options: Vec::new(),
            environment: Vec::new(),
            valgrind: false,
            shared: Vec::new(),
        };
        builder.hosts("")
    }

    /// A configuration file, in the place of the rig's own if that has one of this name.
    pub fn conf(mut self, name: &str, text: impl Into<String>) -> Self {
        self.files.insert(name.to_owned(), text.into());
        self
    }

    /// More text at the end of a configuration file.
    pub fn append(mut self, name: &str, text: &str) -> Self {
        self.appended.push((name.to_owned(), text.to_owned()));
        self
    }

    /// An extension of the context `default`, where calls arrive.
    pub fn extension(mut self, number: &str, applications: &[&str]) -> Self {
        for (index, application) in applications.iter().enumerate() {
            let priority = if index == 0 { "1" } else { "n" };
            self.extensions.push(format!("exten => {number},{priority},{application}"));
        }
        self
    }

    /// One of our modules as `make install` leaves it, with help and ARI description, and loaded
    /// at start.
    pub fn module(self, name: &str) -> Self {
        self.ours(name, true)
    }

    /// One of our modules as `make install` leaves it, but not loaded.
    pub fn installed_module(self, name: &str) -> Self {
        self.ours(name, false)
    }

    fn ours(mut self, name: &str, loaded: bool) -> Self {
        let source = checkout().join(name);
        let help = source.join("documentation.xml");
        if help.exists() {
            self.documentation.push((format!("{name}-en_US.xml"), help));
        }
        let described = fs::read_dir(source.join("rest-api")).into_iter().flatten().flatten();
        let is_json = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "json");
        self.rest_api.extend(described.map(|entry| entry.path()).filter(is_json));
        let file = self.version.artefact(name);
        self.module_file(name, &file, loaded)
    }

    /// Any module file, in place as `<name>.so`.
    pub fn module_file(mut self, name: &str, file: &Path, loaded: bool) -> Self {
        self.modules.push((name.to_owned(), file.to_owned(), loaded));
        self
    }

    /// Loads one more of Asterisk's own modules.
    pub fn load(mut self, name: &str) -> Self {
        self.loaded.push(name.to_owned());
        self
    }

    /// What a node needs for calls to and from others, as a site takes it from `deploy/asterisk`.
    ///
    /// # Panics
    ///
    /// When it is not there.
    #[track_caller]
    pub fn trunk(self, password: &str) -> Self {
        let text = |name: &str| {
            let file = checkout().join("deploy/asterisk").join(name);
            let text = fs::read_to_string(&file);
            text.unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        };
        let pjsip = text("pjsip_gateway.conf");
        assert!(pjsip.contains("CHANGE-ME"), "no place for a password");
        self.append("pjsip.conf", &pjsip.replace("CHANGE-ME", password))
            .append("extensions.conf", &text("extensions_gateway.conf"))
            .load("res_pjsip_authenticator_digest")
            .load("res_pjsip_outbound_authenticator_digest")
    }

    /// Another entity id than the rig's (a MAC address).
    pub fn entity_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.entity_id);
        self
    }

    /// The port of its PJSIP transport, for whoever must know it before the node starts.
    pub fn sip_port(mut self, port: u16) -> Self {
        self.sip_port = Some(port);
        self
    }

    /// Begins the ids of its channels with its entity id: without that, two nodes that began in the
    /// same second can have one id each for a call.
    pub fn system_name(self) -> Self {
        let line = format!("systemname = {}", self.entity_id.replace(':', ""));
        self.option(&line)
    }

    /// A line in section `options` of `asterisk.conf`.
    pub fn option(mut self, line: &str) -> Self {
        self.options.push(line.to_owned());
        self
    }

    /// Logs every change of a reference count, for [`Asterisk::leaks`].
    pub fn ref_debug(self, wanted: bool) -> Self {
        if wanted { self.option("refdebug = yes") } else { self }
    }

    /// Asks this server for names, on port 53, once, and waits 2 s for an answer.
    pub fn name_server(self, address: Ipv4Addr) -> Self {
        self.conf("resolv.conf", format!("nameserver {address}\noptions timeout:2 attempts:1\n"))
    }

    /// These lines in `/etc/hosts`, beside the node's own: names that no server is asked for.
    pub fn hosts(self, lines: &str) -> Self {
        self.conf("hosts", hosts_with(lines))
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it under valgrind, some thirty times slower, for [`Asterisk::memory_faults`].
    pub fn under_valgrind(mut self) -> Self {
        self.valgrind = true;
        self
    }

    /// Shows it a folder that is not its own, at the same path.
    pub fn share(mut self, folder: &Path) -> Self {
        self.shared.push(folder.to_owned());
        self
    }

    /// Debug messages up to this level in the log.
    pub fn debug(self, level: u8) -> Self {
        self.option(&format!("debug = {level}"))
    }

    /// Starts it and waits until it is fully booted.
    ///
    /// # Panics
    ///
    /// With the end of its log, when it ends or takes more than a minute.
    #[track_caller]
    pub fn start(self) -> Asterisk {
        let version = self.version;
        let folder = Folder::new(if version == Version::V22 { "a22" } else { "a16" });
        let ports = Ports {
            http: ports::free(),
            ami: ports::free(),
            sip: self.sip_port.unwrap_or_else(ports::free),
            rtp: ports::block(RTP_PORTS),
        };
        self.furnish(&folder, ports);
        let (mut server, boot) = match self.valgrind {
            true => (valgrind::program(folder.path()), seconds(300)),
            false => (version.root().command("asterisk"), seconds(60)),
        };
        for name in ["resolv.conf", "hosts"] {
            let file = folder.path().join("etc").join(name);
            if file.exists() {
                server = server.bind_at(&file, &Path::new("/etc").join(name));
            }
        }
        for folder in &self.shared {
            server = server.bind(folder);
        }
        for (name, value) in &self.environment {
            server = server.env(name, value);
        }
        let node = Asterisk {
            version,
            entity_id: self.entity_id,
            ports,
            program: configured(server, folder.path()).arg("-f"),
            boot,
            server: Server::new("Asterisk", folder.path().join("log/printed")),
            folder,
        };
        node.begin();
        node
    }

    fn furnish(&self, folder: &Folder, ports: Ports) {
        for name in ["etc", "lib/keys", "db", "log", "run", "spool/recording", "cache"] {
            folder.sub(name);
        }
        let mut configuration = Configuration {
            folder: folder.path(),
            version: self.version,
            entity_id: &self.entity_id,
            ports,
            rtp_ports: RTP_PORTS,
            options: &self.options,
            extensions: &self.extensions,
            loaded: self.loaded.clone(),
        };
        let ours = self.modules.iter().filter(|(.., loaded)| *loaded);
        configuration.loaded.extend(ours.map(|(name, ..)| name.clone()));
        let mut files = configuration.files();
        files.extend(self.files.clone());
        for (name, text) in &self.appended {
            files.entry(name.clone()).or_default().push_str(&format!("\n{text}\n"));
        }
        for (name, text) in files {
            folder.write(&format!("etc/{name}"), text);
        }
        self.furnish_modules(folder);
        self.furnish_data(folder);
    }

    /// Links to the root's modules (they resolve inside the root) with ours beside them.
    fn furnish_modules(&self, folder: &Folder) {
        let modules = folder.sub("modules");
        let original = self.version.module_folder();
        for name in names(&inside(self.version, original)) {
            link(&Path::new(original).join(&name), &modules.join(&name));
        }
        for (name, file, _) in &self.modules {
            install_module(folder.path(), file, name);
        }
    }

    /// The node's own `astdatadir`: links to the root's, but what we add to is the node's own.
    fn furnish_data(&self, folder: &Folder) {
        let data = folder.sub("data");
        let original = Path::new(DATA_FOLDER);
        let own = ["documentation", "rest-api"];
        for name in names(&inside(self.version, DATA_FOLDER)) {
            if !own.contains(&name.as_str()) {
                link(&original.join(&name), &data.join(&name));
            }
        }
        let documentation = folder.sub("data/documentation");
        for name in names(&inside(self.version, "/usr/share/asterisk/documentation")) {
            if name != "thirdparty" {
                link(&original.join("documentation").join(&name), &documentation.join(&name));
            }
        }
        let thirdparty = folder.sub("data/documentation/thirdparty");
        for (name, file) in &self.documentation {
            copy(file, &thirdparty.join(name));
        }
        let rest_api = folder.sub("data/rest-api");
        let original = inside(self.version, "/usr/share/asterisk/rest-api");
        for name in names(&original) {
            copy(&original.join(&name), &rest_api.join(&name));
        }
        for file in &self.rest_api {
            let name = file.file_name().unwrap_or_default();
            copy(file, &rest_api.join(name));
            add_resource(&rest_api.join("resources.json"), &name.to_string_lossy());
        }
    }
}

/// The node's server inside its root.
pub(super) fn program(version: Version, folder: &Path) -> Inside {
    configured(version.root().command("asterisk"), folder)
}

fn configured(server: Inside, folder: &Path) -> Inside {
    server.bind(folder).arg("-C").arg(folder.join("etc/asterisk.conf"))
}

#[track_caller]
pub(super) fn install_module(folder: &Path, file: &Path, name: &str) {
    let target = folder.join(format!("modules/{name}.so"));
    // What is mapped must keep its contents, so the old file goes and a new one comes.
    let _ = fs::remove_file(&target);
    assert!(file.exists(), "{} is not built (make, make asterisk-16)", file.display());
    copy(file, &target);
}

fn inside(version: Version, path: &str) -> PathBuf {
    version.root().path().join(path.trim_start_matches('/'))
}

fn names(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn link(original: &Path, link: &Path) {
    symlink(original, link).unwrap_or_else(|error| panic!("{}: {error}", link.display()));
}

#[track_caller]
fn copy(from: &Path, to: &Path) {
    fs::copy(from, to)
        .unwrap_or_else(|error| panic!("{} to {}: {error}", from.display(), to.display()));
}

fn add_resource(resources: &Path, file: &str) {
    let read =
        fs::read(resources).unwrap_or_else(|error| panic!("{}: {error}", resources.display()));
    let mut list: serde_json::Value = serde_json::from_slice(&read)
        .unwrap_or_else(|error| panic!("{}: {error}", resources.display()));
    let name = file.trim_end_matches(".json");
    if let Some(resources) = list["apis"].as_array_mut() {
        resources.push(serde_json::json!({
            "path": format!("/api-docs/{name}.{{format}}"),
            "description": format!("{name} resource"),
        }));
    }
    fs::write(resources, list.to_string())
        .unwrap_or_else(|error| panic!("{}: {error}", resources.display()));
}
