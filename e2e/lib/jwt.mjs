// Tokens, good and bad.
import { createHmac, generateKeyPairSync, sign } from "node:crypto";

const base64url = (value) => Buffer.from(value).toString("base64url");

/** Keys as the issuer of tokens has them; `config` is the verifier's half, `files` what it names. */
export function tokenKeys() {
  const ed = generateKeyPairSync("ed25519");
  const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const secret = "a shared secret of more than thirty-two bytes";
  const pem = (pair) => pair.publicKey.export({ type: "spki", format: "pem" });
  return {
    signers: {
      EdDSA: (data) => sign(null, data, ed.privateKey),
      ES256: (data) => sign("sha256", data, { key: ec.privateKey, dsaEncoding: "ieee-p1363" }),
      HS256: (data) => createHmac("sha256", secret).update(data).digest(),
    },
    files: { "ed25519.pem": pem(ed), "p256.pem": pem(ec) },
    config: [
      "[auth]",
      "jwt = [",
      '  { alg = "EdDSA", public_key_file = "@/ed25519.pem" },',
      '  { alg = "ES256", public_key_file = "@/p256.pem" },',
      `  { alg = "HS256", secret = "${secret}" },`,
      "]",
    ].join("\n"),
  };
}

/** A token signed by `signer`. */
export function makeToken(alg, signer, claims) {
  const head = `${base64url(JSON.stringify({ alg, typ: "JWT" }))}.${base64url(JSON.stringify(claims))}`;
  return `${head}.${base64url(signer(Buffer.from(head)))}`;
}

/** Seconds since the epoch, `offset` from now. */
export function seconds(offset) {
  return Math.floor(Date.now() / 1000) + offset;
}
