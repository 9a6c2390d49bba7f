/** Where to hand a call over to. */
import { h } from "./dom.js";
import { destinationOf } from "./words.js";

export class TransferForm {
  readonly element: HTMLFormElement;
  readonly #to = h("input", {
    type: "text",
    autocomplete: "off",
    placeholder: "Number or user",
    "aria-label": "Transfer to",
    required: true,
  });

  constructor(onTransfer: (to: string) => void) {
    this.element = h(
      "form",
      {
        class: "transfer",
        hidden: true,
        onsubmit: (event) => {
          event.preventDefault();
          const to = destinationOf(this.#to.value);
          if (to) onTransfer(to);
        },
      },
      this.#to,
      h("button", { type: "submit", class: "quiet" }, "Hand over"),
    );
  }

  get open(): boolean {
    return !this.element.hidden;
  }

  toggle(): void {
    this.element.hidden = this.open;
    if (this.open) this.#to.focus();
  }

  close(): void {
    this.element.hidden = true;
    this.#to.value = "";
  }
}
