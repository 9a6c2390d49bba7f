// What the kernel says about a process.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Numbers of the open file descriptors, sockets included. */
export function openFiles(pid) {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Local UDP ports that a process has open. */
export function openUdpPorts(pid) {
  const inodes = new Set();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const socket = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`));
      if (socket) inodes.add(socket[1]);
    } catch {
      // Closed between the listing and the look.
    }
  }
  return readFileSync("/proc/net/udp", "utf8")
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => inodes.has(columns[9]))
    .map((columns) => Number.parseInt(columns[1].split(":")[1], 16));
}
