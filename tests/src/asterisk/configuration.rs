// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The configuration every node has, small enough that it starts in about a second.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Ports, Version};

pub(super) const ARI_USER: &str = "rig";
pub(super) const ARI_READER: &str = "reader";
pub(super) const AMI_USER: &str = "rig";
pub(super) const PASSWORD: &str = "rig-password";

/// Loaded by both versions.
const MODULES: &str = "\
    app_dial app_echo app_originate app_playback app_stack app_stasis app_userevent \
    app_verbose app_while bridge_builtin_features bridge_holding bridge_native_rtp \
    bridge_simple bridge_softmix chan_bridge_media chan_pjsip codec_alaw codec_gsm \
    codec_resample codec_ulaw format_gsm format_pcm format_sln format_wav func_callerid \
    func_channel func_global func_logic func_math func_strings func_timeout pbx_config \
    res_ari res_ari_applications res_ari_asterisk res_ari_bridges res_ari_channels \
    res_ari_device_states res_ari_endpoints res_ari_events res_ari_model res_ari_playbacks \
    res_ari_recordings res_ari_sounds res_crypto res_http_websocket res_musiconhold \
    res_pjproject res_pjsip res_pjsip_caller_id res_pjsip_dtmf_info \
    res_pjsip_endpoint_identifier_anonymous res_pjsip_endpoint_identifier_ip \
    res_pjsip_endpoint_identifier_user res_pjsip_header_funcs res_pjsip_logger \
    res_pjsip_nat res_pjsip_pubsub res_pjsip_rfc3326 res_pjsip_sdp_rtp res_pjsip_session \
    res_rtp_asterisk res_sorcery_astdb res_sorcery_config res_sorcery_memory res_stasis \
    res_stasis_answer res_stasis_device_state res_stasis_playback res_stasis_recording \
    res_stasis_snoop res_timing_timerfd";

/// Loaded by 22 only: `res_ari` and `app_stasis` want the first.
const MODULES_22: &str = "\
    res_websocket_client res_prometheus";

/// Files that may say nothing, but without which a module declines to load or complains.
const EMPTY: &str = "\
    udptl.conf cel.conf ccss.conf features.conf stasis.conf codecs.conf \
    pjproject.conf sorcery.conf dsp.conf cli.conf cli_permissions.conf \
    dnsmgr.conf enum.conf statsd.conf websocket_client.conf res_stun_monitor.conf";

/// What the files are made of.
pub(super) struct Configuration<'a> {
    pub(super) folder: &'a Path,
    pub(super) version: Version,
    pub(super) entity_id: &'a str,
    pub(super) ports: Ports,
    pub(super) rtp_ports: u16,
    pub(super) options: &'a [String],
    pub(super) extensions: &'a [String],
    pub(super) loaded: Vec<String>,
}

impl Configuration<'_> {
    pub(super) fn files(&self) -> BTreeMap<String, String> {
        let Ports { http, ami, sip, rtp } = self.ports;
        let last_rtp = rtp + self.rtp_ports - 1;
        let written = [
            ("asterisk.conf", self.asterisk_conf()),
            ("modules.conf", self.modules_conf()),
            ("extensions.conf", format!("[default]\n{}\n", self.extensions.join("\n"))),
            ("logger.conf", LOGGER.to_owned()),
            (
                "http.conf",
                format!(
                    "[general]\nenabled = yes\nenable_status = yes\nbindaddr = 127.0.0.1\nbindport = {http}\n"
                ),
            ),
            (
                "ari.conf",
                format!(
                    "[general]\nenabled = yes\n\
                 [{ARI_USER}]\ntype = user\npassword = {PASSWORD}\n\
                 [{ARI_READER}]\ntype = user\npassword = {PASSWORD}\nread_only = yes\n"
                ),
            ),
            (
                "manager.conf",
                format!(
                    "[general]\nenabled = yes\nbindaddr = 127.0.0.1\nport = {ami}\n\
                 [{AMI_USER}]\nsecret = {PASSWORD}\nread = all\nwrite = all\nwritetimeout = 5000\n"
                ),
            ),
            (
                "pjsip.conf",
                format!(
                    "[system]\ntype = system\ntimer_t1 = 100\ntimer_b = 6400\n\
                     [udp]\ntype = transport\nprotocol = udp\nbind = 127.0.0.1:{sip}\n\
                 [anonymous]\ntype = endpoint\ncontext = default\ndisallow = all\n\
                 allow = ulaw,alaw\ndirect_media = no\n"
                ),
            ),
            (
                "rtp.conf",
                format!("[general]\nrtpstart = {rtp}\nrtpend = {last_rtp}\nstrictrtp = no\n"),
            ),
            ("indications.conf", INDICATIONS.to_owned()),
            // Nobody has an access list, but the file must be there.
            ("acl.conf", String::new()),
            (
                "musiconhold.conf",
                "[default]\nmode = files\ndirectory = /usr/share/asterisk/sounds/en/digits\n"
                    .to_owned(),
            ),
            ("cdr.conf", "[general]\nenable = no\n".to_owned()),
            (
                "prometheus.conf",
                "[general]\nenabled = yes\ncore_metrics_enabled = yes\n".to_owned(),
            ),
        ];
        let empty = EMPTY.split_whitespace().map(|name| (name, "[general]\n".to_owned()));
        written.into_iter().chain(empty).map(|(name, text)| (name.to_owned(), text)).collect()
    }

    fn asterisk_conf(&self) -> String {
        let folder = self.folder.display();
        let options = self.options.join("\n");
        format!(
            "[directories]\n\
             astetcdir => {folder}/etc\nastmoddir => {folder}/modules\n\
             astvarlibdir => {folder}/lib\nastdbdir => {folder}/db\nastkeydir => {folder}/lib\n\
             astdatadir => {folder}/data\nastagidir => {folder}/data/agi-bin\n\
             astspooldir => {folder}/spool\nastrundir => {folder}/run\n\
             astlogdir => {folder}/log\nastcachedir => {folder}/cache\nastsbindir => /usr/sbin\n\
             [options]\n\
             entityid = {}\nhideconnect = yes\ndocumentation_language = en_US\n\
             {options}\n",
            self.entity_id
        )
    }

    fn modules_conf(&self) -> String {
        let of_version = if self.version == Version::V22 { MODULES_22 } else { "" };
        let own = self.loaded.iter().map(String::as_str);
        let lines: Vec<String> = MODULES
            .split_whitespace()
            .chain(of_version.split_whitespace())
            .chain(own)
            .map(|name| format!("load = {name}.so\n"))
            .collect();
        format!("[modules]\nautoload = no\n{}", lines.concat())
    }
}

const LOGGER: &str = "[general]\ndateformat = %F %T.%3q\n[logfiles]\n\
                      full => notice,warning,error,verbose(3),debug,dtmf\n";

const INDICATIONS: &str = "[general]\ncountry = us\n[us]\ndescription = United States\n\
    ringcadence = 2000,4000\ndial = 350+440\nbusy = 480+620/500,0/500\nring = 440+480/2000,0/4000\n\
    congestion = 480+620/250,0/250\ncallwaiting = 440/300,0/10000\ndialrecall = !350+440/100,350+440\n\
    record = 1400/500,0/15000\ninfo = !950/330,!1400/330,!1800/330,0\nstutter = 350+440\n";
