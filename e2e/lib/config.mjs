// Configurations of the binary under test, every port a free one.
import { freePort } from "./ports.mjs";

const HOST = "127.0.0.1";
/** RTP ports of one gateway; test files run one after another. */
const RTP_PORTS = "21000-22999";

/**
 * Which number reaches which carriers. The prefix is what tests dial; carriers get the number without its `+`.
 * `dead` is a port where nobody answers.
 */
const ROUTES = {
  "+491": ["own"],
  "+492": ["sipp"],
  "+493": ["baresip"],
  "+494": ["dead", "own"],
  "+495": ["dead"],
  // What the SDK calls to check the network.
  "+1872": ["own"],
};
const CARRIERS = ["own", "sipp", "baresip", "dead"];

/** Users of every test. */
export const USERS = { alice: "alice-secret", bob: "bob-secret" };
/** What alice's SIP phones register with. */
export const PHONE_PASSWORD = "phone-secret";

/** Draws the ports of one deployment. */
export async function drawPorts() {
  const carriers = {};
  for (const name of CARRIERS) carriers[name] = await freePort();
  return {
    http: await freePort(),
    control: await freePort(),
    admin: {
      up: await freePort(),
      vsp: await freePort(),
      "sip-proxy": await freePort(),
      "b2bua-rtc": await freePort(),
    },
    vspSip: await freePort(),
    proxy: await freePort(),
    webrtc: await freePort(),
    stun: await freePort(),
    carriers,
  };
}

const SECTIONS = {
  vsp: (ports, { vsp = {}, limits = {}, users = {}, auth = "" }, separate) => [
    "[vsp]",
    `listen = "${HOST}:${ports.http}"`,
    `sip = "${HOST}:${ports.vspSip}"`,
    `sip_proxy = "${HOST}:${ports.seen?.proxy ?? ports.proxy}"`,
    ...(ports.seen ? [`sip_advertised = "${HOST}:${ports.seen.neighbours.vsp}"`] : []),
    ...(separate ? [`control = "ws://${HOST}:${ports.control}/control"`] : []),
    ...entries({ ring_timeout_s: 60, ...vsp }),
    "[vsp.limits]",
    ...entries({ login_failures_max: 1_000, requests_burst: 1_000, ...limits }),
    auth,
    ...Object.entries(USERS).flatMap(([name, password]) => [
      "[[user]]",
      ...entries({ name, password, numbers: [`+1555010${name.length}`], ...users[name] }),
    ]),
  ],
  "sip-proxy": (ports, { sipProxy = {}, carriers = {}, sections = [] }) => [
    "[sip_proxy]",
    `udp = "${HOST}:${ports.proxy}"`,
    `vsp = ["${HOST}:${ports.seen?.neighbours.vsp ?? ports.vspSip}"]`,
    ...(ports.seen ? [`advertise = "${HOST}:${ports.seen.proxy}"`] : []),
    ...entries({ carrier_timeout_ms: 5_000, ...sipProxy }),
    ...CARRIERS.flatMap((name) => [
      "[[carrier]]",
      ...entries({
        name,
        uri: `sip:${HOST}:${ports.seen?.neighbours[name] ?? ports.carriers[name]}`,
        strip: 1,
        ...carriers[name],
      }),
    ]),
    ...Object.entries(ROUTES).flatMap(([prefix, names]) => [
      "[[route]]",
      ...entries({ prefix, carriers: names }),
    ]),
    ...sections,
  ],
  "b2bua-rtc": (
    ports,
    { gateway = {}, controlGraceS = 20, mediaHost = HOST, rtpPorts = RTP_PORTS },
    separate,
  ) => [
    "[b2bua_rtc]",
    `webrtc = "${mediaHost}:${ports.webrtc}"`,
    `stun = "${mediaHost}:${ports.stun}"`,
    `rtp_ports = "${rtpPorts}"`,
    ...entries(gateway),
    ...(separate
      ? ["[b2bua_rtc.control]", `listen = "${HOST}:${ports.control}"`, `grace_s = ${controlGraceS}`]
      : []),
  ],
};

/** The configuration of `roles` in one process; `separate` when the others run elsewhere. */
export function configuration(ports, options, roles, separate = false) {
  const admin = ports.admin[separate ? roles[0] : "up"];
  return [
    "[node]",
    ...entries({ name: "test", drain_s: options.drainS ?? 0, ...options.node }),
    ...["[log]", `filter = "${options.logFilter ?? "info"}"`],
    ...["[admin]", `listen = "${HOST}:${admin}"`],
    ...roles.flatMap((role) => SECTIONS[role](ports, options, separate)),
    "",
  ].join("\n");
}

function entries(table) {
  return Object.entries(table).map(([key, value]) => `${key} = ${toml(value)}`);
}

/** TOML and JSON agree on strings, numbers and booleans. */
function toml(value) {
  if (Array.isArray(value)) return `[${value.map(toml).join(", ")}]`;
  if (value !== null && typeof value === "object") return `{ ${entries(value).join(", ")} }`;
  return JSON.stringify(value);
}
