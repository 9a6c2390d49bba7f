// A TCP relay whose connections can be cut, as a network does it: without a word to either side.
import net from "node:net";

/**
 * Relays to `port` on loopback, from `address` of this machine: `{ host, connections(), cut(), down(), up(), moveTo(address), close() }`, `host` for WebSockets. Those that
 * connect after `moveTo` come from that address of this machine.
 */
export async function openCuttable(port, address = "127.0.0.1") {
  const pairs = new Set();
  let localAddress = "127.0.0.1";
  let isDown = false;
  const server = net.createServer((near) => {
    if (isDown) return near.resetAndDestroy();
    const far = net.connect({ port, host: "127.0.0.1", localAddress });
    const pair = [near, far];
    pairs.add(pair);
    for (const socket of pair) {
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", () => {
        pairs.delete(pair);
        for (const each of pair) each.destroy();
      });
    }
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise((resolve) => server.listen(0, address, resolve));
  const cut = () => {
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
  };
  return {
    host: `ws://${address}:${server.address().port}`,
    connections: () => pairs.size,
    cut,
    /** Nobody gets through until `up`. */
    down() {
      isDown = true;
      cut();
    },
    up: () => (isDown = false),
    moveTo(address) {
      localAddress = address;
      cut();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        cut();
      }),
  };
}
