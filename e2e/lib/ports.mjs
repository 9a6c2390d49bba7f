// Ports that nobody uses at the moment.
import dgram from "node:dgram";
import net from "node:net";

const HOST = "127.0.0.1";

/** A TCP port. */
export function freeTcpPort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on("error", reject);
    server.listen(0, HOST, () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** A UDP port. */
export async function freeUdpPort() {
  const socket = await bindUdp(0);
  const { port } = socket.address();
  await new Promise((resolve) => socket.close(resolve));
  return port;
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
