// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Who may do what, and what hostile clients get.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use rig::gateway::{NODE_PASSWORD, PASSWORD, TOKEN};
use rig::root::Root;
use rig::{Ari, Gateway, Version, eventually, seconds};
use serde_json::{Value, json};

use crate::gateway_fleet::{Site, ids, scenarios, text};

scenarios!(
    the_matrix_of_operations_and_users,
    applications_of_others_are_closed,
    what_is_judged_is_what_a_node_does,
    credentials_come_in_three_ways_and_are_told_to_nobody,
    hostile_requests_reach_no_node,
    sizes_times_and_numbers_are_limited,
);

/// What a server answers to these bytes, until it closes or has said enough.
pub(crate) fn raw(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(seconds(10))).expect("a timeout");
    // It may close before it has read all.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        answer.extend_from_slice(&piece[..count]);
        if is_whole(&answer) {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    match length.and_then(|length| length.parse().ok()) {
        Some(length) => body.len() >= length,
        None => head.contains(" 204 "),
    }
}

fn status(answer: &str) -> u16 {
    answer.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Every operation of Asterisk 22, by its own files: method and path.
pub(crate) fn operations() -> Vec<(String, String)> {
    let folder = Root::Testing.path().join("usr/share/asterisk/rest-api");
    let read = |path: &Path| -> Value {
        let text = std::fs::read(path).expect("a file of Asterisk's");
        serde_json::from_slice(&text).expect("JSON")
    };
    let mut operations = Vec::new();
    for file in std::fs::read_dir(folder).expect("the rest-api folder").flatten() {
        for api in read(&file.path())["apis"].as_array().expect("apis") {
            for operation in api["operations"].as_array().into_iter().flatten() {
                operations.push((text(&operation["httpMethod"]), text(&api["path"])));
            }
        }
    }
    assert!(operations.len() > 100);
    operations
}

fn filled(path: &str, id: &str) -> String {
    let part = |part: &str| {
        if part.starts_with('{') { id.to_owned() } else { part.to_owned() }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn the_matrix_of_operations_and_users() {
    let site = Site::three(&[("index", "refresh = \"1h\"")]);
    let count = || -> usize { site.posts.iter().map(|post| post.proxy.requests()).sum() };
    let before = count();
    let nobody = Ari::new(site.gateway.port(), "rig", "wrong");
    let (reader, poster) = (site.gateway.ari_as("reader"), site.gateway.ari_as("poster"));
    for (method, path) in operations() {
        let path = filled(&path, "nothing-of-this-name");
        let plain = raw(
            site.gateway.port(),
            &format!("{method} /ari{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
        );
        assert_eq!(status(&plain), 401, "{method} {path}");
        if method != "GET" {
            assert_eq!(reader.request(&method, &path, None).status, 403, "{method} {path}");
        }
        if matches!(method.as_str(), "PUT" | "DELETE") {
            assert_eq!(poster.request(&method, &path, None).status, 403, "{method} {path}");
        }
    }
    assert_eq!(nobody.get("/channels").status, 401);
    assert_eq!(count(), before, "nothing of it reached a node");
    // And who may do everything is refused nothing of that.
    for (method, path) in operations() {
        let path = filled(&path, "nothing-of-this-name");
        for (user, ari) in
            [("rig", site.ari()), ("reader", reader.clone()), ("poster", poster.clone())]
        {
            let may = match user {
                "reader" => method == "GET",
                "poster" => matches!(method.as_str(), "GET" | "POST"),
                _ => true,
            };
            if !may {
                continue;
            }
            let status = ari.request(&method, &path, None).status;
            let is_expected = !matches!(status, 401 | 403 | 500) || path.contains("/config/");
            assert!(is_expected, "{user}: {method} {path}: {status}");
        }
    }
    site.gateway.assert_alive();
    for post in &site.posts {
        post.asterisk.assert_alive();
    }
}

fn applications_of_others_are_closed() {
    let site = Site::shared();
    let (_mine, _theirs) = (site.app("mine-1"), site.app("theirs"));
    let mine = site.gateway.ari_as("mine");
    let (their_call, eid) = site.call("theirs");
    let (my_call, _) = site.call("mine-1");
    for (method, path) in [
        ("GET", format!("/channels/{their_call}")),
        ("DELETE", format!("/channels/{their_call}")),
        ("POST", format!("/channels/{their_call}/answer")),
        ("POST", format!("/channels/{their_call}/play?media=tone:dial")),
        ("POST", format!("/channels/{my_call}/move?app=theirs")),
        ("POST", format!("/applications/mine-1/subscription?eventSource=channel:{their_call}")),
        ("POST", "/applications/mine-1/subscription?eventSource=channel:".to_owned()),
        ("GET", "/applications/theirs".to_owned()),
        ("POST", "/events/user/x?application=theirs&app=mine-1".to_owned()),
        ("POST", "/channels?endpoint=Local/stay@default&app=theirs".to_owned()),
        ("POST", "/channels?endpoint=Local/stay@default&extension=stay".to_owned()),
        ("GET", "/asterisk/modules".to_owned()),
        // Past the index, too.
        ("GET", format!("/channels/{their_call}?asteriskId={}", text(&eid))),
    ] {
        let answer = mine.request(method, &path, None);
        assert_eq!(answer.status, 403, "{method} {path}: {answer:?}");
    }
    // A call that nobody told the gateway of belongs to who its node says.
    for (app, wanted) in [("theirs", 403), ("mine-1", 200)] {
        let path = format!("/channels?endpoint=Local/stay@default&app={app}");
        let call = site.posts[0].asterisk.ari().post(&path).ok();
        let id = text(&call["id"]);
        site.wait_in(app, &id, &json!(site.posts[0].eid()));
        assert_eq!(mine.get(&format!("/channels/{id}")).status, wanted, "{app}");
        site.ari().delete(&format!("/channels/{id}")).ok();
    }
    let own = mine.post("/channels?endpoint=Local/stay@default&app=mine-1").ok();
    let own = text(&own["id"]);
    mine.get(&format!("/channels/{own}")).ok();
    let listed = ids(&mine.get("/channels").ok());
    assert!(listed.contains(&own) && !listed.contains(&their_call), "{listed:?}");
    let apps = mine.get("/applications").ok();
    let apps: Vec<String> =
        apps.as_array().expect("a list").iter().map(|app| text(&app["name"])).collect();
    assert_eq!(apps, ["mine-1"]);
    for call in [own, my_call] {
        mine.delete(&format!("/channels/{call}")).ok();
    }
    site.ari().delete(&format!("/channels/{their_call}")).ok();
}

/// The status of a POST with a form as its body.
fn post_form(ari: &Ari, port: u16, path: &str, form: &str) -> u16 {
    let (login, length) = (ari.authorization(), form.len());
    let request = format!(
        "POST /ari{path} HTTP/1.1\r\nHost: x\r\nAuthorization: {login}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
    );
    status(&raw(port, &request))
}

fn what_is_judged_is_what_a_node_does() {
    let site = Site::start(&[Version::V22, Version::V16], &[]);
    let (_mine, _theirs) = (site.app("mine-1"), site.app("theirs"));
    let (port, mine) = (site.gateway.port(), site.gateway.ari_as("mine"));
    for (number, post) in site.posts.iter().enumerate() {
        // What a query says goes before what a form says.
        let eid = post.eid();
        let path = format!("/channels?endpoint=Local/stay@default&asteriskId={eid}");
        let call = |query: &str, form: &str| post_form(&mine, port, &(path.clone() + query), form);
        assert_eq!(call("&app=theirs", "app=mine-1"), 403, "{eid}");
        let (other, id) = (format!("form-{number}"), format!("query-{number}"));
        let query = format!("&app=mine-1&channelId={id}");
        assert_eq!(call(&query, &format!("app=theirs&channelId={other}")), 200, "{eid}");
        site.wait_in("mine-1", &id, &json!(eid));
        assert!(!post.channels().contains(&other), "{eid}");
        mine.delete(&format!("/channels/{id}")).ok();
        // What a node would take apart otherwise goes to none.
        let theirs = site.ari().post(&(path.clone() + "&app=theirs")).ok();
        let theirs = text(&theirs["id"]);
        site.wait_in("theirs", &theirs, &json!(eid));
        let bridge = text(&mine.post("/bridges").ok()["id"]);
        let subscription = "/applications/mine-1/subscription";
        for (path, body) in [
            (format!("{subscription}?eventSource=%22channel:%22"), None),
            (format!("{subscription}?asteriskId={eid}&eventSource=%22channel:%22"), None),
            (subscription.to_owned(), Some(json!({"eventSource": ["deviceState:x,channel:"]}))),
            (format!("/bridges/{bridge}/addChannel?channel=%22{theirs}%22"), None),
            (format!("/bridges/{bridge}/addChannel"), Some(json!({"channel": [5]}))),
        ] {
            let answer = mine.request("POST", &path, body.as_ref());
            assert_eq!(answer.status, 400, "{eid}: {path} {body:?}: {answer:?}");
        }
        // Nor does one that a node would find, and nobody has by that id.
        let name = text(&post.asterisk.ari().get(&format!("/channels/{theirs}")).ok()["name"]);
        for originator in [theirs.to_uppercase(), name.replace(';', "%3B")] {
            let create = "/channels/create?endpoint=Local/stay@default&app=mine-1";
            let answer = mine.post(&format!("{create}&originator={originator}"));
            assert_eq!(answer.status, 403, "{eid}: {originator}: {answer:?}");
        }
        let told = post.asterisk.ari().get("/applications/mine-1").ok();
        assert_eq!(told["channel_ids"], json!([]), "{eid}");
        mine.delete(&format!("/bridges/{bridge}")).ok();
        site.ari().delete(&format!("/channels/{theirs}")).ok();
        post.asterisk.assert_alive();
    }
}

fn credentials_come_in_three_ways_and_are_told_to_nobody() {
    let site = Site::three(&[]);
    let port = site.gateway.port();
    let get = |path: &str, header: &str| {
        let request = format!("GET /ari{path} HTTP/1.1\r\nHost: x\r\n{header}\r\n");
        status(&raw(port, &request))
    };
    assert_eq!(site.ari().get("/channels").status, 200);
    assert_eq!(get(&format!("/channels?api_key=rig:{PASSWORD}"), ""), 200);
    assert_eq!(get("/channels", &format!("Authorization: Bearer {TOKEN}\r\n")), 200);
    for (path, header) in [
        ("/channels", "Authorization: Bearer wrong\r\n"),
        ("/channels?api_key=rig:wrong", ""),
        ("/channels?api_key=rig", ""),
        ("/channels", "Authorization: Basic !!\r\n"),
        ("/channels", "Authorization: Digest x\r\n"),
    ] {
        assert_eq!(get(path, header), 401, "{path} {header}");
    }
    // The node's own user is nobody here.
    assert_eq!(Ari::new(port, "rig", NODE_PASSWORD).get("/channels").status, 401);
    let path = "/deviceStates/Stasis:x?deviceState=INUSE&note=a-word-of-a-person";
    let refused = site.gateway.ari_as("reader").request("PUT", path, None);
    assert_eq!(refused.status, 403);
    site.ari().request("PUT", path, None).ok();
    let log = site.gateway.log();
    let audit: Vec<&str> = log.lines().filter(|line| line.contains("audit")).collect();
    assert_eq!(audit.len(), 2, "{audit:?}");
    assert!(audit[0].contains("reader") && audit[0].contains("status=403"), "{}", audit[0]);
    for part in ["rig", "PUT", "/ari/deviceStates/Stasis:x", "204"] {
        assert!(audit[1].contains(part), "{part}: {}", audit[1]);
    }
    let base64 = "Z2F0ZXdheS1wYXNzd29yZA";
    for secret in [PASSWORD, TOKEN, NODE_PASSWORD, base64, "a-word-of-a-person"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    // And no node saw a client's credentials.
    for post in &site.posts {
        let seen = format!("{:?}", post.proxy.seen());
        assert!(!seen.contains(PASSWORD) && !seen.contains(TOKEN) && !seen.contains("api_key"));
    }
}

fn hostile_requests_reach_no_node() {
    let site = Site::three(&[("index", "refresh = \"1h\"")]);
    let port = site.gateway.port();
    let login = format!("Authorization: Bearer {TOKEN}\r\n");
    let count = || -> usize { site.posts.iter().map(|post| post.proxy.requests()).sum() };
    let before = count();
    let long = "x".repeat(2000);
    for (path, wanted) in [
        ("/ari/../httpstatus", 400),
        ("/ari/channels/..", 400),
        ("/ari/channels/%2e%2e/asterisk/info", 400),
        ("/ari/recordings/stored/..%2f..%2fetc%2fpasswd/file", 400),
        ("/ari/channels/a%0d%0aHost:%20evil", 400),
        ("/ari/channels/a%00b", 400),
        ("/ari/channels/%ff%fe", 400),
        ("/ari/channels/%", 400),
        ("/ari/channels?endpoint=a%0d%0ab", 400),
        ("/ari/channels//", 404),
        ("/ari//channels", 404),
        ("/ari", 404),
        ("/ari/nothing", 404),
        ("/ari/channels/x/nothing", 404),
        ("/admin", 404),
        ("http://evil.example/ari/nothing", 404),
        (&format!("/ari/channels/{long}"), 400),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{login}\r\n");
        let answer = raw(port, &request);
        assert_eq!(status(&answer), wanted, "{path}: {answer}");
    }
    for (method, head, body, wanted) in [
        ("POST", "Content-Type: application/json\r\n", "{", 400),
        ("POST", "Content-Type: application/json\r\n", "[1,2]", 400),
        ("POST", "Content-Type: application/json\r\n", "{\"channelId\": 5}", 400),
        ("POST", "Content-Type: application/json\r\n", "{\"endpoint\": \"a\\nb\"}", 400),
        ("POST", "Content-Type: application/x-www-form-urlencoded\r\n", "channelId=%0a", 400),
        ("PATCH", "", "", 405),
        ("BREW", "", "", 405),
        ("POST", "X-Asterisk-ID: 00:00:00:00:00:99\r\n", "", 404),
        ("POST", "X-Asterisk-ID: caf\u{e9}\r\n", "", 400),
    ] {
        let length = body.len();
        let request = format!(
            "{method} /ari/channels HTTP/1.1\r\nHost: x\r\n{login}{head}Content-Length: {length}\r\n\r\n{body}"
        );
        let answer = raw(port, &request);
        assert_eq!(status(&answer), wanted, "{method} {head} {body}: {answer}");
    }
    for request in [
        "nonsense\r\n\r\n".to_owned(),
        "GET /ari/channels HTTP/9.9\r\n\r\n".to_owned(),
        format!("GET /ari/channels HTTP/1.1\r\nHost: x\r\n{login}Bad Header: x\r\n\r\n"),
        format!("GET /ari/channels\0 HTTP/1.1\r\nHost: x\r\n{login}\r\n"),
        format!(
            "POST /ari/channels HTTP/1.1\r\nHost: x\r\n{login}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"
        ),
        format!(
            "POST /ari/channels HTTP/1.1\r\nHost: x\r\n{login}Transfer-Encoding: chunked\r\n\r\nZZ\r\n"
        ),
        format!("POST /ari/channels HTTP/1.1\r\nHost: x\r\n{login}Content-Length: -1\r\n\r\n"),
    ] {
        let answer = raw(port, &request);
        assert!(answer.is_empty() || (400..500).contains(&status(&answer)), "{request}: {answer}");
    }
    assert_eq!(count(), before, "nothing of it reached a node");
    // A thousand paths and queries of random bytes.
    let mut random = 88_172_645_463_325_252_u64;
    for _ in 0..1000 {
        let mut path = "/ari/".to_owned();
        for _ in 0..12 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let [kind, byte, ..] = random.to_be_bytes();
            match kind % 4 {
                0 => path.push_str(&format!("%{byte:02x}")),
                1 => path.push(char::from(b"/?&=.;+%"[usize::from(byte % 8)])),
                2 => path.push_str(
                    ["channels", "bridges", "..", "play", "events"][usize::from(byte % 5)],
                ),
                _ => path.push(char::from(b'!' + byte % 94)),
            }
        }
        let answer = raw(port, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n{login}\r\n"));
        let status = status(&answer);
        assert!(answer.is_empty() || (status < 500 || status == 501), "{path}: {answer}");
    }
    site.gateway.assert_alive();
    for post in &site.posts {
        post.asterisk.assert_alive();
    }
    assert_eq!(site.ari().get("/channels").status, 200);
}

fn sizes_times_and_numbers_are_limited() {
    let consul = rig::Consul::start();
    let limits =
        "connections = 4\nheader_bytes = 8192\nbody_bytes = 2048\nidle = \"1s\"\nbody = \"1s\"";
    let gateway = Gateway::start(consul.port(), &[("limits", limits)]);
    let port = gateway.port();
    let login = format!("Authorization: Bearer {TOKEN}\r\n");
    let post = |head: &str, body: &str| {
        let request = format!("POST /ari/channels HTTP/1.1\r\nHost: x\r\n{login}{head}\r\n{body}");
        status(&raw(port, &request))
    };
    assert_eq!(post("Content-Length: 2049\r\n", ""), 413);
    let chunk = format!("bb8\r\n{}\r\n0\r\n\r\n", "x".repeat(3000));
    assert_eq!(post("Transfer-Encoding: chunked\r\n", &chunk), 413);
    assert_eq!(post("Content-Length: 5\r\n", "he"), 408);
    let long = format!("X-Long: {}\r\n", "x".repeat(10_000));
    assert_eq!(post(&long, ""), 431);
    let many: String = (0..200).map(|number| format!("X-{number}: x\r\n")).collect();
    assert_eq!(post(&many, ""), 431);
    // Connections that say nothing are closed, and then others have their turn.
    let silent: Vec<TcpStream> =
        (0..8).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("a connection")).collect();
    eventually("a turn", seconds(20), || {
        match status(&raw(port, "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")) {
            200 => Ok(()),
            other => Err(other),
        }
    });
    for mut stream in silent {
        stream.set_read_timeout(Some(seconds(20))).expect("a timeout");
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        assert!(ended.is_ok() || rest.is_empty(), "{ended:?}");
    }
    gateway.assert_alive();
}
