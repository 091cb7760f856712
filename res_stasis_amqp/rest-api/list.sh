#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# list.sh add|remove RESOURCES.JSON: names amqp.json in Asterisk's list of ARI resources, once, or
# takes it out again. The list is a file of Asterisk's own package with no way to add to it at run
# time; without the entry the resource works all the same and only the list lacks it.

set -eu

what=$1
list=$2

if [ ! -f "$list" ]; then
    echo "$list is not there: ARI's list of resources is left alone"
    exit 0
fi

# Without the entry: three lines after the brace that opens it, and the brace.
without=$(awk '
    held != "" && /"\/api-docs\/amqp\.\{format\}"/ { held = ""; skip = 2; next }
    skip > 0 { skip--; next }
    held != "" { print held; held = "" }
    /^[ \t]*\{[ \t]*$/ { held = $0; next }
    { print }
    END { if (held != "") print held }
' "$list")

case $what in
add)
    with=$(printf '%s\n' "$without" | awk '
        { print }
        /"apis": \[/ && !done {
            print "\t\t{"
            print "\t\t\t\"path\": \"/api-docs/amqp.{format}\","
            print "\t\t\t\"description\": \"Applications whose events go to RabbitMQ\""
            print "\t\t},"
            done = 1
        }
        END { exit !done }
    ') || { echo "$list has no list of resources: left alone"; exit 0; }
    ;;
remove)
    with=$without
    ;;
*)
    echo "usage: list.sh add|remove RESOURCES.JSON" >&2
    exit 2
    ;;
esac

# Written in place, so that owner and mode stay.
printf '%s\n' "$with" >"$list"
