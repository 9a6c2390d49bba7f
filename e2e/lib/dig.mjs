// Questions to our name server by `dig`, and sites for it to ask about.
import { execFile } from "node:child_process";
import http from "node:http";
import { promisify } from "node:util";

const HOST = "127.0.0.1";

/**
 * Asks `server` ({ port }) for `name`. `subnet` is that of the asking resolver's client, `from` the resolver's own address.
 * Gives `status`, `flags`, `answers` and `authority` (each { name, ttl, type, data }), and `scope`, null without a subnet.
 */
export async function dig(server, name, { type = "A", subnet, from, tcp = false, more = [] } = {}) {
  const args = [`@${HOST}`, "-p", String(server.port), name, type];
  args.push("+tries=1", "+time=20", "+norecurse", "+nocookie", tcp ? "+tcp" : "+notcp", ...more);
  if (subnet !== undefined) args.push(`+subnet=${subnet}`);
  if (from) args.push("-b", from);
  const { stdout } = await promisify(execFile)("dig", args);
  return {
    status: /status: (\w+)/.exec(stdout)?.[1],
    flags: /flags: ([\w ]*);/.exec(stdout)?.[1].split(" "),
    scope: Number(/CLIENT-SUBNET: \S+?\/\d+\/(\d+)/.exec(stdout)?.[1] ?? NaN),
    answers: section(stdout, "ANSWER"),
    authority: section(stdout, "AUTHORITY"),
    text: stdout,
  };
}

/** Addresses that `dig` is given. */
export async function addresses(server, name, options) {
  return (await dig(server, name, options)).answers.map(({ data }) => data);
}

function section(text, title) {
  const lines = text.split(`;; ${title} SECTION:\n`)[1]?.split("\n\n")[0].split("\n") ?? [];
  return lines.filter(Boolean).map((line) => {
    const [name, ttl, , type, ...data] = line.split(/\s+/);
    return { name, ttl: Number(ttl), type, data: data.join(" ") };
  });
}

/** A site that is well: its `url` answers 200. */
export function startSite() {
  return new Promise((resolve) => {
    const server = http.createServer((_, response) => response.end("ok\n"));
    server.listen(0, HOST, () =>
      resolve({
        url: `http://${HOST}:${server.address().port}/readyz`,
        close: () => new Promise((closed) => server.close(closed)),
      }),
    );
  });
}

/** Where a running process answers questions. */
export async function nameServer(offhook) {
  const { roles } = await offhook.admin("/readyz");
  const role = roles.find(({ role }) => role === "geo-dns");
  const { address } = role.addresses.find(({ name }) => name === "dns-udp");
  return { port: Number(address.split(":").at(-1)) };
}
