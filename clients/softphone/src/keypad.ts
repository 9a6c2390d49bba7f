/** The twelve keys of a telephone. */
import { h } from "./dom.js";
import { playKey } from "./sound.js";

const KEYS: readonly (readonly [string, string])[] = [
  ["1", ""],
  ["2", "ABC"],
  ["3", "DEF"],
  ["4", "GHI"],
  ["5", "JKL"],
  ["6", "MNO"],
  ["7", "PQRS"],
  ["8", "TUV"],
  ["9", "WXYZ"],
  ["*", ""],
  ["0", "+"],
  ["#", ""],
];
const NAMES: Readonly<Record<string, string>> = { "*": "star", "#": "pound" };

/** A keypad; every key makes its sound and tells `onKey`. */
export function keypad(label: string, onKey: (key: string) => void): HTMLElement {
  return h(
    "div",
    { class: "keypad", role: "group", "aria-label": label },
    ...KEYS.map(([key, letters]) =>
      h(
        "button",
        {
          type: "button",
          class: "key",
          "aria-label": NAMES[key] ?? key,
          "data-key": key,
          onclick: () => {
            playKey(key);
            onKey(key);
          },
        },
        h("span", { class: "key-digit" }, key),
        h("span", { class: "key-letters", "aria-hidden": "true" }, letters),
      ),
    ),
  );
}
