// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

// What an application does with calls, by a client that was written for one Asterisk. It prints
// what came of it:
//
//   node script.js http://HOST:PORT USER PASSWORD

'use strict';

const ari = require('ari-client');
const { Transcript } = require('./transcript.js');

const APP = 'script';

/** Of what has just begun: the rest depends on how far it has come. */
const known = ({ id, name, target_uri }) => ({ id, name, target_uri });

main(...process.argv.slice(2)).then(
  (told) => process.stdout.write(JSON.stringify(told), () => process.exit(0)),
  (error) => {
    console.error(error.stack);
    process.exit(1);
  },
);

async function main(url, user, password) {
  const client = await ari.connect(url, user, password);
  const script = new Transcript(client);
  await script.does('start', () => client.start(APP));
  await script.does('application', () => client.applications.get({ applicationName: APP }));
  const first = await place(client, script, 'first');
  await variables(client, script, first);
  await keys(client, script, first);
  await holds(client, script, first);
  await recordings(client, script, first);
  await playbacks(client, script, first);
  await snoops(client, script, first);
  const second = await place(client, script, 'second');
  await bridges(client, script, first, second);
  await refusals(client, script, first);
  await states(client, script);
  await ends(client, script, first, second);
  client.stop();
  return script.whole();
}

/** A call whose other side comes to the application by the dialplan. */
async function place(client, script, name) {
  const call = script.call(name, client.Channel());
  const caller = `${call.id};2`;
  await script.does(`${name}: originate`, async () => {
    const endpoint = 'Local/script@default/n';
    const shown = { callerId: 'Script <100>', variables: { COLOUR: 'red' } };
    return known(await call.originate({ endpoint, app: APP, appArgs: 'one,two', ...shown }));
  });
  await script.event('StasisStart', caller);
  await script.does(`${name}: ring`, () => client.channels.ring({ channelId: caller }));
  await script.does(`${name}: stop ringing`, () => client.channels.ringStop({ channelId: caller }));
  await script.does(`${name}: answer`, () => client.channels.answer({ channelId: caller }));
  await script.event('StasisStart', call.id);
  await script.does(`${name}: get`, () => call.get());
  return call;
}

async function variables(client, script, call) {
  await script.does('variable of the originate', () => call.getChannelVar({ variable: 'COLOUR' }));
  await script.does('set', () => call.setChannelVar({ variable: 'SHAPE', value: 'a "b" & c/d é' }));
  await script.event('ChannelVarset', call.id);
  await script.does('get', () => call.getChannelVar({ variable: 'SHAPE' }));
  await script.does('function', () => call.getChannelVar({ variable: 'CALLERID(num)' }));
  await script.refused('no variable', () => call.getChannelVar({ variable: 'NOTHING' }));
}

async function keys(client, script, call) {
  await script.does('keys', () => call.sendDTMF({ dtmf: '1#', duration: 100 }));
  await script.event('ChannelDtmfReceived', `${call.id};2`);
  await script.event('ChannelDtmfReceived', `${call.id};2`);
}

async function holds(client, script, call) {
  await script.does('hold', () => call.hold());
  await script.does('unhold', () => call.unhold());
  await script.does('mute', () => call.mute({ direction: 'both' }));
  await script.does('unmute', () => call.unmute({ direction: 'both' }));
  await script.does('music', () => call.startMoh());
  await script.does('no music', () => call.stopMoh());
}

async function recordings(client, script, call) {
  const recording = client.LiveRecording('recorded', {});
  await script.does('record', async () =>
    known(await call.record({ name: 'recorded', format: 'wav' }, recording)),
  );
  await script.event('RecordingStarted', 'recorded');
  await script.does('pause', () => client.recordings.pause({ recordingName: 'recorded' }));
  await script.does('unpause', () => client.recordings.unpause({ recordingName: 'recorded' }));
  await script.does('recording', () => client.recordings.getLive({ recordingName: 'recorded' }));
  await script.does('stop', () => client.recordings.stop({ recordingName: 'recorded' }));
  await script.event('RecordingFinished', 'recorded');
  await script.refused('a name again', () => call.record({ name: 'recorded', format: 'wav' }));
  await script.does('stored', () => client.recordings.listStored());
  await script.does('file', () =>
    client.recordings.getStoredFile({ recordingName: 'recorded' }),
  );
  await script.does('copy', () =>
    client.recordings.copyStored({ recordingName: 'recorded', destinationRecordingName: 'copied' }),
  );
  await script.does('play it', () => play(client, script, call, 'heard', 'recording:copied'));
  for (const recordingName of ['recorded', 'copied']) {
    await script.does('delete', () => client.recordings.deleteStored({ recordingName }));
    await script.refused('gone', () => client.recordings.getStored({ recordingName }));
  }
  await script.does('none stored', () => client.recordings.listStored());
}

/** Plays something that ends by itself. */
async function play(client, script, on, name, media) {
  const playback = script.call(name, client.Playback());
  const told = await on.play({ media }, playback);
  await script.event('PlaybackStarted', playback.id);
  await script.event('PlaybackFinished', playback.id);
  return known(told);
}

async function playbacks(client, script, call) {
  await script.does('what is not there', () => play(client, script, call, 'absent', 'sound:none'));
  await tone(client, script, call, 'tone');
}

/** Plays a tone, and stops it. */
async function tone(client, script, on, name) {
  const playback = script.call(name, client.Playback());
  await script.does(`${name}: play`, async () =>
    known(await on.play({ media: 'tone:ring' }, playback)),
  );
  await script.event('PlaybackStarted', playback.id);
  await script.does(`${name}: get`, () => playback.get());
  await script.does(`${name}: pause`, () => playback.control({ operation: 'pause' }));
  await script.does(`${name}: unpause`, () => playback.control({ operation: 'unpause' }));
  await script.refused(`${name}: nonsense`, () => playback.control({ operation: 'dance' }));
  await script.does(`${name}: stop`, () => playback.stop());
  await script.event('PlaybackFinished', playback.id);
  await script.refused(`${name}: gone`, () => playback.get());
}

async function snoops(client, script, call) {
  const snoop = script.call('snoop', client.Channel());
  await script.does('snoop', async () =>
    known(await call.snoopChannel({ spy: 'both', app: APP }, snoop)),
  );
  await script.event('StasisStart', snoop.id);
  await script.does('the snoop', () => snoop.get());
  await script.does('no snoop', () => snoop.hangup());
  await script.event('StasisEnd', snoop.id);
}

async function bridges(client, script, first, second) {
  const bridge = script.call('bridge', client.Bridge());
  const both = [first.id, second.id];
  await script.does('bridge', () => bridge.create({ type: 'mixing', name: 'talk' }));
  await script.refused('bridge again', () => bridge.create({ type: 'mixing' }));
  const join = (channel) => bridge.addChannel({ channel, inhibitConnectedLineUpdates: true });
  await script.does('join', () => join(both.join(',')));
  for (const id of both) {
    await script.event('ChannelEnteredBridge', id);
  }
  await script.does('the bridge', () => bridge.get());
  await script.does('all bridges', () => client.bridges.list());
  // Asterisk may take its time to be done with the snoop.
  const isOfBoth = (call) => both.some((id) => call.id.startsWith(id));
  await script.does('both calls', async () => (await client.channels.list()).filter(isOfBoth));
  await script.does('what the application has', () =>
    client.applications.get({ applicationName: APP }),
  );
  await tone(client, script, bridge, 'tone for both');
  await script.does('record both', async () =>
    known(await bridge.record({ name: 'both', format: 'wav' })),
  );
  await script.event('RecordingStarted', 'both');
  await script.does('stop', () => client.recordings.stop({ recordingName: 'both' }));
  await script.event('RecordingFinished', 'both');
  await script.does('delete', () => client.recordings.deleteStored({ recordingName: 'both' }));
  await script.does('music', () => bridge.startMoh());
  await script.does('no music', () => bridge.stopMoh());
  await script.does('leave', () => bridge.removeChannel({ channel: second.id }));
  await script.event('ChannelLeftBridge', second.id);
  await script.refused('leave again', () => bridge.removeChannel({ channel: second.id }));
  await script.does('join again', () => join(second.id));
  await script.event('ChannelEnteredBridge', second.id);
  // Who wants to be told of its end asks for that: nobody is in it then.
  const source = { applicationName: APP, eventSource: `bridge:${bridge.id}` };
  await script.does('subscribe', () => client.applications.subscribe(source));
  await script.does('the end of it', () => bridge.destroy());
  for (const id of both) {
    await script.event('ChannelLeftBridge', id);
  }
  await script.event('BridgeDestroyed', bridge.id);
  await script.refused('gone', () => bridge.get());
}

async function refusals(client, script, call) {
  const { applications, bridges, channels, endpoints, playbacks, recordings } = client;
  const none = 'nothing-of-this-name';
  const missing = {
    call: () => channels.get({ channelId: none }),
    'end of a call': () => channels.hangup({ channelId: none }),
    'answer of a call': () => channels.answer({ channelId: none }),
    'music of a call': () => channels.startMoh({ channelId: none }),
    'play on a call': () => channels.play({ channelId: none, media: 'tone:ring' }),
    'snoop of a call': () => channels.snoopChannel({ channelId: none, spy: 'in', app: APP }),
    'variable of a call': () => channels.getChannelVar({ channelId: none, variable: 'X' }),
    'variable for a call': () => channels.setChannelVar({ channelId: none, variable: 'X' }),
    'record of a call': () => channels.record({ channelId: none, name: none, format: 'wav' }),
    'keys for a call': () => channels.sendDTMF({ channelId: none, dtmf: '1' }),
    'hold of a call': () => channels.hold({ channelId: none }),
    'mute of a call': () => channels.mute({ channelId: none }),
    'ringing of a call': () => channels.ring({ channelId: none }),
    'way of a call': () => channels.continueInDialplan({ channelId: none }),
    'move of a call': () => channels.move({ channelId: none, app: APP }),
    'redirect of a call': () => channels.redirect({ channelId: none, endpoint: 'Local/x' }),
    'dial of a call': () => channels.dial({ channelId: none }),
    'statistics of a call': () => channels.rtpstatistics({ channelId: none }),
    bridge: () => bridges.get({ bridgeId: none }),
    'end of a bridge': () => bridges.destroy({ bridgeId: none }),
    'call to no bridge': () => bridges.addChannel({ bridgeId: none, channel: call.id }),
    'play on a bridge': () => bridges.play({ bridgeId: none, media: 'tone:ring' }),
    playback: () => playbacks.get({ playbackId: none }),
    'live recording': () => recordings.getLive({ recordingName: none }),
    'stored recording': () => recordings.getStored({ recordingName: none }),
    application: () => applications.get({ applicationName: none }),
    endpoint: () => endpoints.get({ tech: 'PJSIP', resource: none }),
    technology: () => endpoints.listByTech({ tech: none }),
    subscription: () =>
      applications.subscribe({ applicationName: APP, eventSource: `channel:${none}` }),
  };
  for (const [what, work] of Object.entries(missing)) {
    await script.refused(`missing: ${what}`, work);
  }
  const wrong = {
    'no application': () => channels.originate({ endpoint: 'Local/script@default/n' }),
    'no such technology': () => channels.originate({ endpoint: 'none/none', app: APP }),
    'no endpoint': () => channels.originate({ endpoint: '', app: APP }),
    'an id that is there': () =>
      channels.originate({ endpoint: 'Local/script@default/n', app: APP, channelId: call.id }),
    'no variable': () => call.setChannelVar({ variable: '', value: 'x' }),
    'no direction': () => call.mute({ direction: 'sideways' }),
    'no format': () => call.record({ name: 'wrong', format: 'none' }),
    'no spying': () => call.snoopChannel({ app: APP }),
    'a state that is not ours': () =>
      client.deviceStates.update({ deviceName: 'PJSIP/x', deviceState: 'INUSE' }),
    'no source of events': () =>
      applications.subscribe({ applicationName: APP, eventSource: 'none:none' }),
  };
  for (const [what, work] of Object.entries(wrong)) {
    await script.refused(`wrong: ${what}`, work);
  }
}

async function states(client, script) {
  const device = { deviceName: 'Stasis:script' };
  await script.does('ping', () => client.asterisk.ping());
  await script.does('state', () => client.deviceStates.update({ ...device, deviceState: 'INUSE' }));
  await script.does('the state', () => client.deviceStates.get(device));
  await script.does('states', () => client.deviceStates.list());
  await script.does('no state', () => client.deviceStates.delete(device));
  await script.does('sounds', () => client.sounds.list());
}

async function ends(client, script, first, second) {
  await script.does('on in the dialplan', () =>
    first.continueInDialplan({ context: 'default', extension: 'call', priority: 1 }),
  );
  for (const id of [first.id, `${first.id};2`, second.id, `${second.id};2`]) {
    if (id === second.id) {
      await script.does('hang up', () => second.hangup({ reason: 'busy' }));
    }
    await script.event('StasisEnd', id);
    await script.event('ChannelDestroyed', id);
  }
  await script.refused('gone', () => second.get());
  await script.does('no calls', () => client.channels.list());
  await script.does('the application', () => client.applications.get({ applicationName: APP }));
}
