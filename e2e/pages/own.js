// The smallest app on our own SDK: no build step, no SDP, no socket (R4, R5).
"use strict";

const states = [];
const transfers = [];
const farHolds = [];
const connection = [];
const errors = [];
let ready = 0;
let client = null;

window.own = {
  states,
  transfers,
  farHolds,
  connection,
  errors,
  ready: () => ready,

  connect(options) {
    client = new Offhook.OffhookClient(options);
    client.on("telnyx.ready", () => (ready += 1));
    client.on("telnyx.error", ({ error }) => errors.push({ code: error.code, remedy: error.remedy }));
    client.on("telnyx.notification", ({ call }) => states.push({ id: call.id, state: call.state }));
    client.on("transfer", ({ call, ...news }) =>
      transfers.push({ id: call.id, ...news, farNumber: call.farNumber }),
    );
    client.on("farHold", ({ call, held }) => farHolds.push({ id: call.id, held }));
    client.on("reconnecting", ({ attempt, delayMs }) => connection.push({ attempt, delayMs }));
    client.on("reconnected", () => connection.push("reconnected"));
    client.on("disconnected", ({ reason }) => connection.push(reason));
    client.connect();
  },

  /** The ids and states of all calls. */
  calls: () => [...client.calls.values()].map(({ id, state }) => ({ id, state })),
  hold: (id) => client.calls.get(id).hold(),
  restartMedia: (id) => client.calls.get(id).restartMedia(),
  /** The id of a call that rings here, if one does. */
  ringing: () => [...client.calls.values()].find(({ state }) => state === "ringing")?.id ?? null,
  answer: (id) => client.calls.get(id).answer(),
  call: (destinationNumber) => client.newCall({ destinationNumber }).id,
  transfer: (id, to) => client.calls.get(id).transfer(client.calls.get(to) ?? to),
  farNumber: (id) => client.calls.get(id).farNumber,
  /** Who is at the far end. */
  far(id) {
    const { farName: name, farNumber: number } = client.calls.get(id);
    return { name, number };
  },
  hangup: (id) => client.calls.get(id).hangup(),
  stats: (id) => client.calls.get(id).stats(),
  sendDigits: (id, digits) => client.calls.get(id).sendDigits(digits),
};
