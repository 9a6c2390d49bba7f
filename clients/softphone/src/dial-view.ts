/** Where a call begins: a number, a keypad, and on a demo server the numbers worth trying. */
import type { DemoNumber } from "./demo.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { keypad } from "./keypad.js";
import { destinationOf } from "./words.js";

export class DialView {
  readonly element: HTMLElement;
  readonly #number = h("input", {
    id: "number",
    type: "tel",
    inputmode: "tel",
    autocomplete: "off",
    placeholder: "Number",
    "aria-label": "Number to call",
  });
  readonly #call = h(
    "button",
    { type: "submit", class: "call-button", "aria-label": "Call" },
    icon("call"),
    "Call",
  );

  constructor(numbers: readonly DemoNumber[], onDial: (number: string, name: string) => void) {
    const names = new Map(numbers.map(({ number, name }) => [number, name]));
    const form = h(
      "form",
      {
        class: "card dialer",
        "aria-label": "Place a call",
        onsubmit: (event) => {
          event.preventDefault();
          const number = destinationOf(this.#number.value);
          if (number) onDial(number, names.get(number) ?? "");
        },
      },
      h(
        "div",
        { class: "number-row" },
        this.#number,
        h(
          "button",
          {
            type: "button",
            class: "bare",
            "aria-label": "Delete the last digit",
            onclick: () => this.#erase(),
          },
          icon("backspace"),
        ),
      ),
      keypad("Dial pad", (key) => {
        this.#number.value += key;
        this.#number.scrollLeft = this.#number.scrollWidth;
      }),
      this.#call,
    );
    this.element = h(
      "section",
      { class: "side", "aria-label": "Dial" },
      form,
      numbers.length > 0 ? tryList(numbers, onDial) : null,
    );
  }

  setEnabled(enabled: boolean): void {
    this.#call.disabled = !enabled;
    for (const button of this.element.querySelectorAll<HTMLButtonElement>(".try")) button.disabled = !enabled;
  }

  focus(): void {
    this.#number.focus();
  }

  #erase(): void {
    this.#number.value = this.#number.value.slice(0, -1);
    this.#number.focus();
  }
}

function tryList(
  numbers: readonly DemoNumber[],
  onDial: (number: string, name: string) => void,
): HTMLElement {
  return h(
    "section",
    { class: "card tries", "aria-labelledby": "tries-title" },
    h("h2", { id: "tries-title" }, "Numbers to try"),
    h(
      "ul",
      {},
      ...numbers.map(({ number, name, text }) =>
        h(
          "li",
          {},
          h(
            "button",
            { type: "button", class: "try", "data-number": number, onclick: () => onDial(number, name) },
            h("span", { class: "try-number" }, number),
            h("span", { class: "try-words" }, h("strong", {}, name), h("small", {}, text)),
            h("span", { class: "try-call", "aria-hidden": "true" }, icon("call")),
          ),
        ),
      ),
    ),
  );
}
