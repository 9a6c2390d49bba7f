// Runs the tests: those of tests/ one file after another, and beside them those of long/, which do little but wait. What
// these print comes at the end, in one piece.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";

const HERE = new URL("./", import.meta.url);

/**
 * Runs the files of a folder, with ports of the block of that number; gives the exit code, and what was printed unless that
 * went to our own output.
 */
function run(folder, block, output) {
  const files = readdirSync(new URL(folder, HERE))
    .filter((file) => file.endsWith(".test.mjs"))
    .map((file) => `${folder}/${file}`);
  const child = spawn(process.execPath, ["--test", "--test-concurrency=1", ...files], {
    cwd: HERE,
    env: { ...process.env, PORT_BLOCK: block },
    stdio: ["ignore", output, output],
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8");
    stream?.on("data", (text) => (printed += text));
  }
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, printed })));
}

const long = run("long", 1, "pipe");
const short = await run("tests", 0, "inherit");
const { code, printed } = await long;
process.stdout.write(`\nlong/, which ran beside these:\n${printed}`);
process.exitCode = short.code === 0 && code === 0 ? 0 : 1;
