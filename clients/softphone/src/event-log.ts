/** What happened, newest first, in words. */
import { h } from "./dom.js";

/** Enough to look back on; more would only slow the page down. */
const LINES_MAX = 200;

export type LogTone = "plain" | "good" | "bad";

export class EventLog {
  readonly element: HTMLElement;
  readonly #list = h("ol", { class: "log-lines" });
  readonly #count = h("span", { class: "count" }, "0");
  #total = 0;

  constructor() {
    this.element = h(
      "details",
      { class: "card log" },
      h("summary", {}, h("span", {}, "What happened"), this.#count),
      this.#list,
    );
  }

  add(text: string, tone: LogTone = "plain"): void {
    this.#total += 1;
    this.#count.textContent = String(this.#total);
    const time = new Date().toLocaleTimeString([], { hour12: false });
    this.#list.prepend(h("li", { class: `log-line ${tone}` }, h("time", {}, time), h("span", {}, text)));
    while (this.#list.childElementCount > LINES_MAX) this.#list.lastElementChild?.remove();
  }
}
