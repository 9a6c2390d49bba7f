// Kamailio as somebody else's registrar: accounts with a digest, registrations in memory, calls to and from a carrier.
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { eachLine } from "./lines.mjs";
import { until } from "./wait.mjs";

const run = promisify(execFile);
/** What our script writes into Kamailio's log, one line for each decision. */
const DECISION = /offhook: (\S+) (\S+) (\S*) (.*)$/;

/**
 * Starts a registrar on `host`:`port`.
 *
 * options.domain      domain of the accounts, and realm of the challenges
 * options.accounts    passwords by name
 * options.carrier     UDP port of the carrier that gets all other numbers, and may call accounts without a digest
 * options.algorithm   hash of the digests: MD5 or SHA-256
 * options.nonceS      lifetime of a nonce, seconds
 * options.grantedMaxS longest registration that it grants, seconds
 * options.askedMinS   shortest that may be asked for, seconds: below it answers 423
 */
export async function startKamailio(options) {
  const kamailio = new Kamailio({
    host: "127.0.0.1",
    algorithm: "MD5",
    nonceS: 300,
    grantedMaxS: 3_600,
    askedMinS: 0,
    ...options,
  });
  await kamailio.start();
  return kamailio;
}

class Kamailio {
  /** Its decisions about REGISTER and INVITE, in order: `{ decision, method, account, detail }`. */
  decisions = [];
  #options;
  #folder = mkdtempSync(join(tmpdir(), "offhook-kamailio-"));
  #child = null;
  #exit = null;
  #log = "";

  constructor(options) {
    this.#options = options;
  }

  get port() {
    return this.#options.port;
  }

  get address() {
    return `${this.#options.host}:${this.#options.port}`;
  }

  /** Starts it; registrations of before are forgotten. */
  async start() {
    const file = join(this.#folder, "kamailio.cfg");
    writeFileSync(file, configuration(this.#options, this.#control));
    const args = ["-DD", "-E", "-m", "64", "-M", "8", "-Y", this.#folder, "-f", file];
    // A group of its own, for it has children.
    this.#child = spawn("kamailio", args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
    this.#exit = new Promise((resolve) => this.#child.on("exit", resolve));
    this.#log = "";
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      eachLine(stream, (line) => {
        this.#log += `${line}\n`;
        this.#read(line);
      });
    }
    await until("Kamailio is ready", () => this.#ready());
  }

  /** Ends it without a word to those who are registered. */
  async halt() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      process.kill(-this.#child.pid, "SIGKILL");
      await this.#exit;
    }
  }

  async stop() {
    await this.halt();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** The contact that calls to an account go to, with the seconds that are left; `null` if it is not registered. */
  async contact(account) {
    const text = await this.#ask("ul.lookup", "location", `s:${account}`).catch(() => "");
    const uri = /Address: (\S+)/.exec(text)?.[1];
    return uri ? { uri, expires: Number(/Expires: (\d+)/.exec(text)?.[1] ?? 0) } : null;
  }

  /** From now on it answers every REGISTER with this status; 0: it works again. */
  refuse(status) {
    return this.#ask("htable.seti", "state", "refuse", String(status));
  }

  /** Its decisions of one kind about an account. */
  of(account, decision) {
    return this.decisions.filter((each) => each.account === account && each.decision === decision);
  }

  /** How many requests of an account were `challenged` or `unproven`: one that was sent twice is one. */
  requests(account, decision) {
    return new Set(this.of(account, decision).map(({ detail }) => detail)).size;
  }

  /** Waits for the next decision of one kind about an account, after the first `seen`. */
  untilDecision(account, decision, seen = 0) {
    return until(`${decision} at Kamailio`, () => this.of(account, decision)[seen]);
  }

  get #control() {
    return join(this.#folder, "control");
  }

  async #ask(...command) {
    const { stdout } = await run("kamcmd", ["-s", `unix:${this.#control}`, ...command]);
    return stdout;
  }

  async #ready() {
    if (this.#child.exitCode !== null) throw new Error(`Kamailio ended: ${this.#log}`);
    return this.#ask("core.uptime").catch(() => false);
  }

  #read(line) {
    const [, decision, method, account, detail] = DECISION.exec(line) ?? [];
    if (decision) this.decisions.push({ decision, method, account, detail });
  }
}

function configuration(options, control) {
  const { host, port, domain, accounts, carrier, algorithm, nonceS, grantedMaxS, askedMinS } = options;
  const entries = Object.entries(accounts).map(
    ([name, password]) => `  $sht(accounts=>${name}) = "${password}";`,
  );
  return `#!KAMAILIO
debug=1
log_stderror=yes
children=2
disable_tcp=yes
auto_aliases=no
dns=no
rev_dns=no
listen=udp:${host}:${port}
alias="${domain}"

${MODULES.map((name) => `loadmodule "${name}.so"`).join("\n")}

modparam("ctl", "binrpc", "unix:${control}")
modparam("htable", "htable", "accounts=>size=4;")
modparam("htable", "htable", "state=>size=2;initval=0;")
modparam("auth", "algorithm", "${algorithm}")
modparam("auth", "nonce_expire", ${nonceS})
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "timer_interval", 1)
modparam("registrar", "max_expires", ${grantedMaxS})
modparam("rr", "append_fromtag", 0)

event_route[htable:mod-init] {
${entries.join("\n")}
}

request_route {
  if (has_totag()) {
    if (loose_route()) { t_relay(); exit; }
    if (is_method("ACK") && !t_check_trans()) exit;
    if (is_method("ACK")) { t_relay(); exit; }
    sl_send_reply("404", "Not Here");
    exit;
  }
  if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
  if (is_method("ACK")) { if (t_check_trans()) t_relay(); exit; }
  t_check_trans();
  if (is_method("REGISTER")) { route(REGISTER); exit; }
  if (!is_method("INVITE")) { sl_send_reply("405", "Method Not Allowed"); exit; }
  record_route();
  if ($sp == ${carrier}) {
    if (!lookup("location")) { sl_send_reply("480", "Temporarily Unavailable"); exit; }
    xlog("L_ERR", "offhook: called $rm $tU $ru\\n");
    t_relay();
    exit;
  }
  route(DIGEST);
  consume_credentials();
  $du = "sip:127.0.0.1:${carrier}";
  t_relay();
}

route[REGISTER] {
  if ($sht(state=>refuse) > 0) {
    xlog("L_ERR", "offhook: refused $rm $tU $sht(state=>refuse)\\n");
    sl_send_reply("$sht(state=>refuse)", "Not Now");
    exit;
  }
  route(DIGEST);
  $var(asked) = 0;
  if ($hdr(Expires) != $null) $var(asked) = $(hdr(Expires){s.int});
  if ($var(asked) > 0 && $var(asked) < ${askedMinS}) {
    xlog("L_ERR", "offhook: too-brief $rm $tU $var(asked)\\n");
    append_to_reply("Min-Expires: ${askedMinS}\\r\\n");
    sl_send_reply("423", "Interval Too Brief");
    exit;
  }
  if (!save("location")) { sl_reply_error(); exit; }
  if ($var(asked) == 0) xlog("L_ERR", "offhook: removed $rm $tU $hdr(Contact)\\n");
  else xlog("L_ERR", "offhook: saved $rm $tU $var(asked)\\n");
}

# Whoever comes out of it has proven to be the account in From.
route[DIGEST] {
  pv_auth_check("${domain}", "$sht(accounts=>$fU)", "0", "1");
  $var(proof) = $rc;
  if ($var(proof) > 0) {
    xlog("L_ERR", "offhook: proven $rm $fU $hdr(Authorization)$hdr(Proxy-Authorization)\\n");
    return;
  }
  if ($var(proof) == -4) {
    xlog("L_ERR", "offhook: stale $rm $fU $var(proof)\\n");
    auth_challenge("${domain}", "17");
    exit;
  }
  if ($var(proof) == -5) xlog("L_ERR", "offhook: challenged $rm $fU $ci $cs\\n");
  else xlog("L_ERR", "offhook: unproven $rm $fU $ci $cs\\n");
  auth_challenge("${domain}", "1");
  exit;
}
`;
}

const MODULES = [
  "tm",
  "sl",
  "rr",
  "pv",
  "ctl",
  "kex",
  "corex",
  "xlog",
  "textops",
  "siputils",
  "htable",
  "auth",
  "usrloc",
  "registrar",
];
