/** All calls of the page, the running ones before the ended ones. */
import type { Call, OffhookError } from "@offhook/web-sdk";
import { CallCard, type CardActions } from "./call-card.js";
import { announce, h } from "./dom.js";
import { startRinging } from "./sound.js";
import { stateInWords } from "./words.js";

/** Ended calls stay readable, but not for ever. */
const ENDED_MAX = 4;

export class CallsView {
  readonly element: HTMLElement;
  readonly #list = h("div", { class: "call-list" });
  readonly #empty: HTMLElement;
  readonly #cards = new Map<string, CallCard>();
  readonly #names = new Map<string, string>();
  readonly #actions: CardActions;
  #stopRinging: (() => void) | null = null;

  constructor(hasDemo: boolean, actions: Omit<CardActions, "onGone">) {
    this.#actions = { ...actions, onGone: (card) => this.#forget(card) };
    this.#empty = emptyState(hasDemo);
    this.element = h("section", { class: "calls", "aria-label": "Calls" }, this.#empty, this.#list);
  }

  /** The name that the card of this call is to show. */
  name(call: Call, name: string): void {
    this.#names.set(call.id, name);
  }

  update(call: Call): void {
    const known = this.#cards.get(call.id);
    const card = known ?? this.#add(call);
    if (known) card.update();
    if (card.over) this.#sink(card);
    const who = this.#names.get(call.id) || card.number;
    announce(`${who}: ${stateInWords(call.state, call.direction)}`);
    this.#ring();
    this.#showEmpty();
  }

  /** What has failed on a call, and ends it. */
  fail(callId: string, error: OffhookError): void {
    this.#cards.get(callId)?.fail(error);
  }

  /** The call that a keyboard shortcut means: the newest one that is being talked on. */
  current(): CallCard | null {
    const talking = [...this.#cards.values()].filter(
      ({ call }) => call.state === "active" || call.state === "held",
    );
    return talking.at(-1) ?? null;
  }

  #add(call: Call): CallCard {
    const card = new CallCard(
      call,
      this.#names.get(call.id) || (call.direction === "inbound" ? call.callerName : ""),
      this.#actions,
    );
    this.#cards.set(call.id, card);
    this.#list.prepend(card.element);
    return card;
  }

  /** Moves an ended call below the running ones, and drops the oldest of the ended. */
  #sink(card: CallCard): void {
    const ended = [...this.#cards.values()].filter((each) => each.over);
    for (const old of ended.slice(0, -ENDED_MAX)) old.remove();
    const others = ended.filter((each) => each !== card).map((each) => each.element);
    const firstEnded = [...this.#list.children].find((child) => others.includes(child as HTMLElement));
    if (card.element.isConnected) this.#list.insertBefore(card.element, firstEnded ?? null);
  }

  #forget(card: CallCard): void {
    this.#cards.delete(card.call.id);
    this.#names.delete(card.call.id);
    this.#showEmpty();
  }

  #ring(): void {
    const ringing = [...this.#cards.values()].some(
      ({ call }) => call.direction === "inbound" && call.state === "ringing",
    );
    if (ringing) this.#stopRinging ??= startRinging();
    else {
      this.#stopRinging?.();
      this.#stopRinging = null;
    }
  }

  #showEmpty(): void {
    this.#empty.hidden = this.#cards.size > 0;
    const live = [...this.#cards.values()].filter((card) => !card.over).length;
    document.title = live > 0 ? `(${live}) Offhook` : "Offhook";
  }
}

function emptyState(hasDemo: boolean): HTMLElement {
  const waves = h("div", { class: "waves", "aria-hidden": "true" });
  for (let i = 0; i < 23; i += 1) {
    const bar = h("i");
    bar.style.setProperty("--i", String(i));
    waves.append(bar);
  }
  return h(
    "div",
    { class: "card empty" },
    waves,
    h("h2", {}, "The line is free"),
    h(
      "p",
      { class: "muted" },
      hasDemo
        ? "Pick one of the numbers to try, or dial. Echo is a good first call: you hear yourself."
        : "Dial a number. Calls to you ring here.",
    ),
  );
}
