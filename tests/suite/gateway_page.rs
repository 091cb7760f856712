// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The status page, in a real browser.

use rig::browser::page_after;
use rig::gateway::PASSWORD;
use rig::{eventually, seconds};

use crate::gateway_access::raw;
use crate::gateway_fleet::{Post, Site, scenarios};

scenarios!(the_page_shows_the_fleet_and_stays_live, the_page_is_for_those_who_may_see_all);

/// What is in the table's row, or the box, that has these words.
fn text_of(page: &str, element: &str, words: &str) -> Option<String> {
    let (begin, end) = (format!("<{element}>"), format!("</{element}>"));
    let whole = page.split(&begin).skip(1).map(|rest| rest.split(&end).next().unwrap_or_default());
    whole.filter(|text| text.contains(words)).map(str::to_owned).next()
}

fn the_page_shows_the_fleet_and_stays_live() {
    let site = Site::shared();
    // `<b>shown</b>`
    let name = "%3Cb%3Eshown%3C%2Fb%3E";
    let _app = site.app(name);
    let (call, eid) = site.call(name);
    // Of one id, as two nodes without a `systemname` make them.
    let (same, clashing) = ("1732000000.9", &site.posts[..2]);
    let on = |post: &Post| format!("asteriskId={}", post.eid());
    for post in clashing {
        let made = format!("/channels?endpoint=Local/stay@default&app={name}&channelId={same}&");
        site.ari().post(&(made + &on(post))).ok();
    }
    let url = format!("http://rig:{PASSWORD}@127.0.0.1:{}/", site.gateway.port());
    eventually("the page to show all", seconds(120), || {
        let page = page_after(&url, 7)?;
        for post in &site.posts {
            let row = text_of(&page, "tr", post.eid()).ok_or("a node is missing")?;
            let is_shown = row.contains("passing") && row.contains(&post.proxy.port().to_string());
            is_shown.then_some(()).ok_or(row)?;
        }
        let clashes =
            page.split("<p id=\"clashes\" class=\"warning\">").nth(1).ok_or("no clash")?;
        let clashes = clashes.split("</p>").next().unwrap_or_default();
        let is_told = clashing.iter().all(|post| clashes.contains(post.eid()));
        is_told.then_some(()).ok_or(clashes)?;
        // As text, whatever its name is.
        let app = text_of(&page, "tr", "&lt;b&gt;shown&lt;/b&gt;").ok_or("the application")?;
        app.contains(">1<").then_some(()).ok_or(app)?;
        let channels = text_of(&page, "div", "Channels").ok_or("no channels")?;
        let some = channels.contains("<dd>") && !channels.contains("<dd>0<");
        some.then_some(()).ok_or(channels)?;
        // A rate comes of two readings.
        let rate = text_of(&page, "div", "Requests/s").ok_or("no rate")?;
        (!rate.contains('–')).then_some(()).ok_or(rate)?;
        page.contains(">live<").then_some(()).ok_or_else(|| page.clone())
    });
    for post in clashing {
        site.ari().delete(&format!("/channels/{same}?{}", on(post))).ok();
    }
    site.post(&eid).asterisk.ari().delete(&format!("/channels/{call}")).ok();
}

fn the_page_is_for_those_who_may_see_all() {
    let site = Site::shared();
    let port = site.gateway.port();
    let ask = |path: &str, login: &str| {
        raw(port, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n{login}Connection: close\r\n\r\n"))
    };
    let login = |user| format!("Authorization: {}\r\n", site.gateway.ari_as(user).authorization());
    for path in ["/", "/page.js", "/page.css", "/status.json"] {
        let nobody = ask(path, "");
        assert!(nobody.starts_with("HTTP/1.1 401 "), "{path}: {nobody}");
        assert!(nobody.to_lowercase().contains("www-authenticate: basic"), "{nobody}");
        let limited = ask(path, &login("mine"));
        assert!(limited.starts_with("HTTP/1.1 403 "), "{path}: {limited}");
        let reader = ask(path, &login("reader"));
        assert!(reader.starts_with("HTTP/1.1 200 "), "{path}: {reader}");
        assert!(reader.contains("default-src 'none'"), "{reader}");
    }
    assert!(ask("/status.html", "").starts_with("HTTP/1.1 404 "));
}
