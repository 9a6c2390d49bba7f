/** What a demo server tells the page about itself. Any other server answers 404, and the page stays plain. */

export interface DemoUser {
  readonly login: string;
  readonly password: string;
}

export interface DemoNumber {
  readonly number: string;
  readonly name: string;
  /** One sentence: what happens when one calls it. */
  readonly text: string;
}

export interface Demo {
  readonly users: readonly DemoUser[];
  readonly numbers: readonly DemoNumber[];
}

export const NO_DEMO: Demo = { users: [], numbers: [] };

/** Reads `/demo.json`; anything unexpected means that this is no demo server. */
export async function loadDemo(): Promise<Demo> {
  try {
    const response = await fetch("/demo.json", { headers: { accept: "application/json" } });
    return response.ok ? readDemo(await response.json()) : NO_DEMO;
  } catch {
    return NO_DEMO;
  }
}

/** Takes over only what has the right shape. */
export function readDemo(json: unknown): Demo {
  const { users, numbers } = (json ?? {}) as Record<string, unknown>;
  return {
    users: objects(users).flatMap(({ login, password }) =>
      typeof login === "string" && typeof password === "string" ? [{ login, password }] : [],
    ),
    numbers: objects(numbers).flatMap(({ number, name, text }) =>
      typeof number === "string" && typeof name === "string"
        ? [{ number, name, text: typeof text === "string" ? text : "" }]
        : [],
    ),
  };
}

function objects(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === "object" && each !== null) : [];
}
