// Listens in between the SIP proxy and its neighbours. Each of them has the tap's address for that of the other one, so that
// every packet between them passes here, and is passed on unchanged.
//
//   VSP, carrier ──► face: what they have for the proxy      stand-ins: what the proxy has for them ◄── proxy
import { bindUdp, freePort } from "./ports.mjs";
import { parseSip } from "./sip.mjs";

const HOST = "127.0.0.1";

export class Wiretap {
  /** Every packet, in order: `{ from, to, message }`, neighbours by name, `message` as `parseSip` reads it. */
  packets = [];
  #sockets = [];

  /**
   * Taps the lines of the proxy at `proxy` to the neighbours `{ name: port }`. `seen` says which ports they have for each
   * other: `{ proxy, neighbours: { name: port } }`.
   */
  static async open(proxy, neighbours) {
    const tap = new Wiretap();
    const face = await tap.#bind();
    const standIns = new Map();
    tap.seen = { proxy: face.address().port, neighbours: {} };
    for (const [name, port] of Object.entries(neighbours)) {
      const standIn = await tap.#bind();
      tap.seen.neighbours[name] = standIn.address().port;
      standIns.set(port, { name, standIn });
      standIn.on("message", (bytes) => {
        tap.#note("sip-proxy", name, bytes);
        face.send(bytes, port, HOST);
      });
    }
    face.on("message", (bytes, from) => {
      const known = standIns.get(from.port);
      if (!known) return;
      tap.#note(known.name, "sip-proxy", bytes);
      known.standIn.send(bytes, proxy, HOST);
    });
    return tap;
  }

  /** The messages from one to the other, repetitions left out. */
  between(from, to) {
    const way = this.packets.filter((each) => each.from === from && each.to === to);
    const seen = new Set();
    return way
      .map(({ message }) => message)
      .filter((message) => {
        const key = `${message.start} ${message.headers.find(({ name }) => name === "cseq").value}`;
        return !seen.has(key) && seen.add(key);
      });
  }

  close() {
    return Promise.all(this.#sockets.map((socket) => new Promise((resolve) => socket.close(resolve))));
  }

  async #bind() {
    const socket = await bindUdp(await freePort());
    this.#sockets.push(socket);
    return socket;
  }

  #note(from, to, bytes) {
    const message = parseSip(bytes);
    if (message) this.packets.push({ from, to, message });
  }
}
