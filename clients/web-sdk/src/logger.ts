/**
 * The SDK's log. `info`: once per lifecycle change; `warn`: something failed and was recovered;
 * `error`: someone has to look; `debug`: every message. Passwords, tokens and SDP never reach it.
 */

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

export interface Logger {
  debug(message: string, context?: Record<string, unknown>): void;
  info(message: string, context?: Record<string, unknown>): void;
  warn(message: string, context?: Record<string, unknown>): void;
  error(message: string, context?: Record<string, unknown>): void;
}

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 };

/** A logger that hands lines of at least `level` to `sink`. */
export function createLogger(level: LogLevel, sink: Logger = console): Logger {
  const write =
    (at: Exclude<LogLevel, "silent">) =>
    (message: string, context: Record<string, unknown> = {}): void => {
      if (RANK[at] >= RANK[level]) sink[at](`[offhook] ${message}`, context);
    };
  return { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
}
