// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Asterisk's reference log (`refdebug = yes`): which objects were never freed.

use std::collections::HashMap;
use std::io::BufRead;

/// An object that was made and not freed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// Its address.
    pub object: String,
    /// The log's lines about it: address, change, thread, file, line, function, count, tag.
    pub history: Vec<String>,
}

/// The objects in the log that were not freed and in whose history a file takes part whose name
/// has `file` in it.
pub fn leaks(log: impl BufRead, file: &str) -> Vec<Leak> {
    let mut living: HashMap<String, Vec<String>> = HashMap::new();
    for line in log.lines().map_while(Result::ok) {
        // A tag may have commas, but it is the last field.
        let fields: Vec<&str> = line.splitn(8, ',').collect();
        let [object, _, _, _, _, _, count, _] = fields[..] else {
            continue;
        };
        if count.starts_with("**constructor**") {
            living.insert(object.to_owned(), vec![line]);
        } else if count.starts_with("**destructor**") {
            living.remove(object);
        } else if let Some(history) = living.get_mut(object) {
            history.push(line);
        }
    }
    let takes_part = |line: &String| line.split(',').nth(3).is_some_and(|name| name.contains(file));
    living
        .into_iter()
        .filter(|(_, history)| history.iter().any(takes_part))
        .map(|(object, history)| Leak { object, history })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lives_and_is_the_files_is_a_leak() {
        let log = "\
0x1,+1,7,res_x.c,10,load,**constructor**64**160**,made
0x2,+1,7,res_x.c,11,load,**constructor**64**160**,made
0x3,+1,7,other.c,11,load,**constructor**64**160**,made
0x1,+1,7,res_x.c,12,use,1,a, b
0x1,-1,7,res_x.c,13,use,2,
0x2,-1,7,res_x.c,14,unload,**destructor**lock-state:used**,
0x9,-1,7,res_x.c,14,unload,5,
";
        let leaks = leaks(log.as_bytes(), "res_x");
        assert_eq!(leaks.len(), 1);
        assert_eq!((leaks[0].object.as_str(), leaks[0].history.len()), ("0x1", 3));
    }
}
