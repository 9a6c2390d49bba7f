// A browser behind NAT: a private network and a NAT in network namespaces of their own, made by the test, and the way out of
// them to this machine. Neither the gateway nor anything else on this machine has a way back, but by what the NAT lets in.
//
//   client namespace            NAT namespace                        this machine
//   inside ───── veth ───── 10.77.0.1 ═ masquerade ═ outside ───── veth ───── gateway
import { execFile, execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { EXECUTABLE } from "./browser.mjs";

const INSIDE = "10.77.0.2";
const ROUTER = "10.77.0.1";
/** Where programs for administrators are, on systems that leave that out of a user's path. */
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
/** Networks of four addresses in 198.18.0.0/15, which is set apart for tests (RFC 2544). */
const NETWORKS = 32_768;

/** What makes this impossible on this machine, in a word. */
export class NoNamespaces extends Error {}

/**
 * Builds it: `{ inside, outside, gateway, device, executable, close() }`: the addresses of the browser, of the NAT as others
 * see it, and of this machine as the browser sees it, with the device that leads there; a Chromium that runs inside.
 *
 * Throws `NoNamespaces` where this system does not let us.
 */
export async function openNat() {
  const network = new Nat();
  try {
    await network.open();
  } catch (error) {
    network.close();
    throw new NoNamespaces(`no network namespaces here: ${error.message.trim().replaceAll(/\s+/g, " ")}`);
  }
  return network;
}

class Nat {
  inside = INSIDE;
  outside;
  gateway;
  device = `oh${process.pid}`;
  executable;
  #client = `offhook-client-${process.pid}`;
  #nat = `offhook-nat-${process.pid}`;
  #folder = mkdtempSync(join(tmpdir(), "offhook-nat-"));
  /** Also when the test ends without a word. */
  #atExit = () => this.close();

  constructor() {
    const first = 4 * (process.pid % NETWORKS);
    const address = (at) => `198.${18 + (first >> 16)}.${(first >> 8) & 255}.${(first & 255) + at}`;
    this.gateway = address(1);
    this.outside = address(2);
    this.executable = join(this.#folder, "chromium");
  }

  async open() {
    process.on("exit", this.#atExit);
    for (const name of [this.#client, this.#nat]) await ip("netns", "add", name);
    await this.#wire();
    const inNat = (...words) => ip("netns", "exec", this.#nat, ...words);
    await inNat("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward");
    const rules = [
      ["-P", "FORWARD", "DROP"],
      ["-A", "FORWARD", "-i", "inside", "-j", "ACCEPT"],
      ["-A", "FORWARD", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT"],
      ["-t", "nat", "-A", "POSTROUTING", "-o", "outside", "-j", "MASQUERADE"],
    ];
    for (const rule of rules) await inNat("iptables", "-w", ...rule);
    writeFileSync(this.executable, `#!/bin/sh\nexec ip netns exec ${this.#client} ${EXECUTABLE} "$@"\n`);
    chmodSync(this.executable, 0o755);
  }

  async #wire() {
    const nat = ["-n", this.#nat];
    const client = ["-n", this.#client];
    const pair = (name, peer, namespace) => [
      "link",
      "add",
      name,
      "type",
      "veth",
      "peer",
      "name",
      peer,
      "netns",
      namespace,
    ];
    await ip(...pair(this.device, "outside", this.#nat));
    await ip(...nat, ...pair("inside", "eth0", this.#client));
    for (const [where, address, device] of [
      [[], `${this.gateway}/30`, this.device],
      [nat, `${this.outside}/30`, "outside"],
      [nat, `${ROUTER}/24`, "inside"],
      [client, `${INSIDE}/24`, "eth0"],
    ]) {
      await ip(...where, "address", "add", address, "dev", device);
      await ip(...where, "link", "set", device, "up");
    }
    await ip(...client, "link", "set", "lo", "up");
    await ip(...client, "route", "add", "default", "via", ROUTER);
  }

  /** The device by which this machine would send to the browser's own address; `null` if by none. */
  async deviceTowardsBrowser() {
    const answer = await ip("route", "get", INSIDE).catch(() => "");
    return / dev (\S+)/.exec(answer)?.[1] ?? null;
  }

  close() {
    process.off("exit", this.#atExit);
    for (const words of [
      ["link", "delete", this.device],
      ["netns", "delete", this.#client],
      ["netns", "delete", this.#nat],
    ]) {
      try {
        execFileSync("ip", words, { env: { ...process.env, PATH }, stdio: "ignore" });
      } catch {
        // It was never made, or went with the one before.
      }
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Runs `ip`; gives what it prints. */
async function ip(...words) {
  const { stdout } = await promisify(execFile)("ip", words, { env: { ...process.env, PATH } });
  return stdout;
}
