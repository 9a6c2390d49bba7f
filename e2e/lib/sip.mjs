// As much SIP as a test carrier needs: reads messages, writes responses and in-dialog requests.
import { randomBytes } from "node:crypto";

const COMPACT = {
  v: "via",
  f: "from",
  t: "to",
  i: "call-id",
  m: "contact",
  l: "content-length",
  c: "content-type",
};

/** Reads one datagram; headers are kept in order, names in lower case. */
export function parseSip(datagram) {
  const text = datagram.toString("utf8");
  const split = text.indexOf("\r\n\r\n");
  if (split < 0) return null;
  const [start, ...lines] = text.slice(0, split).split("\r\n");
  const headers = lines.map((line) => {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).trim().toLowerCase();
    return { name: COMPACT[name] ?? name, value: line.slice(colon + 1).trim() };
  });
  const message = { start, headers, body: text.slice(split + 4), raw: text };
  const response = /^SIP\/2\.0 (\d{3}) (.*)$/.exec(start);
  if (response) return { ...message, status: Number(response[1]), method: methodOf(message) };
  const [method, uri] = start.split(" ");
  return { ...message, method, uri };
}

/** First value of a header. */
export function header(message, name) {
  return message.headers.find((each) => each.name === name.toLowerCase())?.value ?? "";
}

/** All values of a header, in order. */
export function headers(message, name) {
  return message.headers.filter((each) => each.name === name.toLowerCase()).map((each) => each.value);
}

function methodOf(message) {
  return header(message, "cseq").split(" ")[1] ?? "";
}

/** The URI inside `<…>`, or the bare one. */
export function uriOf(value) {
  return /<([^>]+)>/.exec(value)?.[1] ?? value.split(";")[0].trim();
}

/** Host and port of a SIP URI or of a Via's sent-by. */
export function hostPort(uri) {
  const bare = uri.replace(/^sips?:/, "").replace(/^[^@]*@/, "");
  const [host, port] = bare.split(/[;?>]/)[0].split(":");
  return { host, port: Number(port ?? 5060) };
}

export function newTag() {
  return randomBytes(5).toString("hex");
}

export function newBranch() {
  return `z9hG4bK${randomBytes(8).toString("hex")}`;
}

/** A response to `request`; `extra` are whole header lines. */
export function response(request, status, reason, tag, extra = [], body = "") {
  const to = header(request, "to");
  return [
    `SIP/2.0 ${status} ${reason}`,
    ...headers(request, "via").map((via) => `Via: ${via}`),
    ...headers(request, "record-route").map((route) => `Record-Route: ${route}`),
    `From: ${header(request, "from")}`,
    `To: ${to}${tag && !to.includes(";tag=") ? `;tag=${tag}` : ""}`,
    `Call-ID: ${header(request, "call-id")}`,
    `CSeq: ${header(request, "cseq")}`,
    ...extra,
    ...(body ? ["Content-Type: application/sdp"] : []),
    `Content-Length: ${Buffer.byteLength(body)}`,
    "",
    body,
  ].join("\r\n");
}
