// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

// What a script has done and been told, without what differs from run to run (ids, times, the numbers
// in names of channels), and without what docs/gateway.md says is not as with one Asterisk.

'use strict';

/** How long an event may take. */
const PATIENCE = 20_000;
const DROPPED = new Set(['timestamp', 'creationtime', 'asterisk_id', 'asterisk_ids', 'technology']);
/** Variables that tell of the other side in a bridge. */
const OF_THE_OTHER_SIDE = /^(BRIDGE|RTP)/;
const MEASURED = new Set(['duration', 'silence_duration', 'talking_duration']);
/** What an event is about, the most particular first. */
const SUBJECTS = [
  (event) => event.playback && event.playback.id,
  (event) => event.recording && event.recording.name,
  (event) => event.channel && event.channel.id,
  (event) => event.bridge && event.bridge.id,
  (event) => event.peer && event.peer.id,
];

class Transcript {
  constructor(client) {
    this.names = [];
    this.steps = [];
    this.events = [];
    this.waiting = [];
    client.on('*', (event) => this.take(event));
  }

  /** Calls a resource so from now on, and gives it back. */
  call(name, resource) {
    this.names.push([resource.id, name]);
    return resource;
  }

  /** Does something that must succeed. */
  async does(what, work) {
    try {
      const outcome = await work();
      this.steps.push({ step: what, outcome: this.plain(outcome) });
      return outcome;
    } catch (error) {
      throw new Error(`${what}: ${error.message}`);
    }
  }

  /** Does something that must be refused; the reason is what is noted. */
  async refused(what, work) {
    let outcome;
    try {
      outcome = await work();
    } catch (error) {
      this.steps.push({ step: what, refused: this.plain(JSON.parse(error.message)) });
      return;
    }
    throw new Error(`${what}: was not refused: ${JSON.stringify(this.plain(outcome))}`);
  }

  take(event) {
    const subject = SUBJECTS.map((subject) => subject(event)).find((id) => id);
    const taken = { type: event.type, subject, event, isWaitedFor: false };
    this.events.push(taken);
    this.waiting.forEach((look) => look());
  }

  /** Waits for an event about this id that nobody has waited for yet. */
  event(type, subject) {
    return new Promise((resolve, reject) => {
      const wanted = (one) => one.type === type && one.subject === subject && !one.isWaitedFor;
      const end = (settle, value) => {
        clearTimeout(timer);
        this.waiting = this.waiting.filter((other) => other !== look);
        settle(value);
      };
      const look = () => {
        const found = this.events.find(wanted);
        if (found) {
          found.isWaitedFor = true;
          end(resolve, found.event);
        }
      };
      const timer = setTimeout(() => {
        const seen = this.events.map((one) => `${one.type} ${this.plain(one.subject)}`);
        end(reject, new Error(`no ${type} of ${this.plain(subject)}; seen: ${seen.join(', ')}`));
      }, PATIENCE);
      this.waiting.push(look);
      look();
    });
  }

  /** A value as it is noted. */
  plain(value, key) {
    if (MEASURED.has(key)) {
      return 'measured';
    }
    if (typeof value === 'string') {
      const named = this.names.reduce((text, [id, name]) => text.split(id).join(name), value);
      return named.replace(/-[0-9a-f]{8}\b/g, '-#');
    }
    if (Buffer.isBuffer(value)) {
      return `${value.toString('latin1', 0, 4)}…`;
    }
    if (Array.isArray(value)) {
      // Nothing in ARI says in which order lists are.
      const plain = value.map((one) => this.plain(one));
      return plain.sort((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));
    }
    if (value && typeof value === 'object') {
      // What begins so is the client's own.
      const isTold = ([name]) => !name.startsWith('_') && !DROPPED.has(name);
      const told = Object.entries(value).filter(isTold).sort();
      return Object.fromEntries(told.map(([name, inner]) => [name, this.plain(inner, name)]));
    }
    return value === undefined ? null : value;
  }

  /** All steps, and the events by what they are about: nothing else has an order. */
  whole() {
    const events = {};
    for (const { subject, event } of this.events) {
      if (event.type === 'ChannelVarset' && OF_THE_OTHER_SIDE.test(event.variable)) {
        continue;
      }
      // Asterisk tells of dialling by a way of its own.
      const name = this.plain(event.type === 'Dial' ? `dialling of ${subject}` : subject);
      const { channels, ...bridge } = event.bridge || {};
      const told = event.bridge ? { ...event, bridge } : event;
      events[name] = (events[name] || []).concat(this.plain(told));
    }
    return { steps: this.steps, events };
  }
}

module.exports = { Transcript };
