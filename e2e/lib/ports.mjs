// Ports that nobody uses at the moment.
import dgram from "node:dgram";
import net from "node:net";

const HOST = "127.0.0.1";
/** Below the range from which the system takes ports for sockets that name none: none of those gets in between. */
const COUNT = 4_500;
/** Tests that run side by side draw from blocks of their own. */
const FIRST = 23_000 + COUNT * Number(process.env.PORT_BLOCK ?? 0);

/** Ports that were drawn; none is drawn twice, for it may be used only later. */
const drawn = new Set();

/** A port that is free for TCP and for UDP: programs that are told one of them may take the other as well. */
export function freePort() {
  return freePorts(1);
}

/** The first of so many free ports in a row. */
export async function freePorts(count) {
  for (let tries = 0; tries < COUNT; tries += 1) {
    const first = FIRST + Math.floor(Math.random() * (COUNT - count));
    const ports = Array.from({ length: count }, (_, at) => first + at);
    if (ports.some((port) => drawn.has(port))) continue;
    ports.forEach((port) => drawn.add(port));
    if (await areFree(ports)) return first;
  }
  throw new Error(`no ${count} ports from ${FIRST} to ${FIRST + COUNT} are free`);
}

async function areFree(ports) {
  for (const port of ports) {
    if (!(await canOpen(bindTcp, port)) || !(await canOpen(bindUdp, port))) return false;
  }
  return true;
}

async function canOpen(open, port) {
  try {
    const socket = await open(port);
    await new Promise((resolve) => socket.close(resolve));
    return true;
  } catch (error) {
    if (error.code !== "EADDRINUSE") throw error;
    return false;
  }
}

function bindTcp(port) {
  const server = net.createServer();
  return new Promise((resolve, reject) => {
    server.on("error", reject).listen(port, HOST, () => resolve(server));
  });
}

/** An open UDP socket on loopback; 0 lets the system choose the port. */
export function bindUdp(port) {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket("udp4");
    socket.on("error", reject);
    socket.bind(port, HOST, () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}
