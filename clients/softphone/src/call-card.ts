/** One call as a card: who, how far, how it sounds, and what one can do about it. */
import type { Call, CallStats, OffhookError } from "@offhook/web-sdk";
import { h } from "./dom.js";
import { icon, type IconName } from "./icons.js";
import { keypad } from "./keypad.js";
import { Meter } from "./meter.js";
import { TransferForm } from "./transfer-form.js";
import { duration, endInDetail, endInWords, holdInWords, stateInWords } from "./words.js";

const REFRESH_MS = 500;

export interface CardActions {
  onFailed(thrown: unknown): void;
  onAgain(number: string, name: string): void;
  onGone(card: CallCard): void;
}

export class CallCard {
  readonly element: HTMLElement;
  readonly call: Call;
  #name = "";
  readonly #title = h("h2", {});
  readonly #about = h("p", { class: "muted" });
  readonly #actions: CardActions;
  readonly #state = h("p", { class: "call-state" });
  readonly #clock = h("p", { class: "call-clock" });
  readonly #facts = h("dl", { class: "facts" });
  readonly #ended = h("p", { class: "call-end" });
  readonly #buttons = h("div", { class: "call-buttons" });
  readonly #digits = h("output", { class: "sent-digits", "aria-label": "Digits sent" });
  readonly #hold = h("p", { class: "call-hold muted", role: "status" });
  readonly #pad: HTMLElement;
  readonly #transfer: TransferForm;
  readonly #you = new Meter("You", "you");
  readonly #them = new Meter("Far end", "them");
  #timer: ReturnType<typeof setInterval> | null = null;
  #failure: OffhookError | null = null;

  constructor(call: Call, name: string, actions: CardActions) {
    this.call = call;
    this.#actions = actions;
    const inbound = call.direction === "inbound";
    this.#pad = h(
      "div",
      { class: "call-pad", hidden: true },
      this.#digits,
      keypad("Send digits", (key) => this.press(key)),
    );
    this.#transfer = new TransferForm((to) => this.#transferTo(to));
    this.element = h(
      "article",
      { class: "card call", "data-call": call.id },
      h(
        "header",
        {},
        h("span", { class: "avatar", "aria-hidden": "true" }, icon(inbound ? "inbound" : "outbound")),
        h("div", { class: "who" }, this.#title, this.#about),
        h("div", { class: "when" }, this.#state, this.#clock),
      ),
      this.#ended,
      this.#hold,
      h("div", { class: "meters" }, this.#them.element, this.#you.element),
      this.#facts,
      this.#pad,
      this.#transfer.element,
      this.#buttons,
    );
    this.#timer = setInterval(() => void this.#refresh(), REFRESH_MS);
    this.#showParty(name);
    this.update();
  }

  /** The number at the far end. */
  get number(): string {
    return this.call.farNumber;
  }

  get over(): boolean {
    return this.call.state === "hangup" || this.call.state === "destroy";
  }

  /** Shows the call's state of now. */
  update(): void {
    const { state, direction } = this.call;
    const { farNumber, farName, destinationNumber, callerNumber } = this.call;
    if (farNumber !== destinationNumber && farNumber !== callerNumber) this.#showParty(farName);
    this.element.dataset["state"] = state;
    this.element.dataset["direction"] = direction;
    this.#state.textContent = stateInWords(state, direction);
    this.element.dataset["held"] = this.call.heldByFarEnd ? "far" : "";
    this.#hold.textContent = holdInWords(this.call.heldByFarEnd && !this.over);
    this.#them.follow(this.call.remoteStream);
    this.#you.follow(this.call.localStream);
    if (this.over) this.#finish();
    this.#showButtons();
  }

  /** Writes who is at the far end, which a transfer may change. */
  #showParty(name: string): void {
    const { number, call } = this;
    this.#name = name;
    const title = name || number;
    this.#title.textContent = title;
    this.#about.textContent = title === number ? call.direction : `${number} · ${call.direction}`;
    this.element.setAttribute("aria-label", `Call with ${title}`);
  }

  /** What is about to end the call: nobody has hung up. */
  fail(error: OffhookError): void {
    if (!this.over) this.#failure = error;
  }

  /** Sends one telephone key. */
  press(key: string): void {
    this.call.sendDigits(key).then(
      () => (this.#digits.value += key),
      (thrown: unknown) => this.#actions.onFailed(thrown),
    );
  }

  toggleMute(): void {
    if (this.call.isMuted) this.call.unmute();
    else this.call.mute();
    this.#showButtons();
  }

  toggleHold(): void {
    const done = this.call.state === "held" ? this.call.unhold() : this.call.hold();
    done.catch((thrown: unknown) => this.#actions.onFailed(thrown));
  }

  remove(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#you.stop();
    this.#them.stop();
    this.element.remove();
    this.#actions.onGone(this);
  }

  #transferTo(to: string): void {
    this.call.transfer(to).then(
      () => this.#transfer.close(),
      (thrown: unknown) => this.#actions.onFailed(thrown),
    );
  }

  async #refresh(): Promise<void> {
    this.#them.follow(this.call.remoteStream);
    this.#you.follow(this.call.localStream);
    if (this.call.answeredAt !== null && !this.over) {
      this.#clock.textContent = duration(Date.now() - this.call.answeredAt);
    }
    const stats = await this.call.stats();
    if (stats && !this.over) this.#showStats(stats);
  }

  #showStats(stats: CallStats): void {
    const ms = (value: number | null): string => (value === null ? "–" : `${Math.round(value)} ms`);
    const facts: readonly [string, string][] = [
      ["Codec", stats.codec ?? "–"],
      ["Round trip", ms(stats.roundTripMs)],
      ["Jitter", ms(stats.jitterMs)],
      ["Lost", `${stats.packetsLost} of ${stats.packetsReceived + stats.packetsLost}`],
    ];
    this.#facts.replaceChildren(
      ...facts.map(([name, value]) =>
        h(
          "div",
          { "data-fact": name.toLowerCase().replace(" ", "-") },
          h("dt", {}, name),
          h("dd", {}, value),
        ),
      ),
    );
  }

  #finish(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#you.stop();
    this.#them.stop();
    this.#pad.hidden = true;
    this.#transfer.close();
    const { end, direction, answeredAt } = this.call;
    const failure = this.#failure;
    if (!end) return;
    this.#ended.replaceChildren(
      h("strong", {}, failure?.message ?? endInWords(end, direction, answeredAt !== null)),
      h("small", {}, failure ? `${failure.name} ${failure.code}` : endInDetail(end)),
    );
  }

  #showButtons(): void {
    const focused = this.#buttons.querySelector(":focus")?.getAttribute("data-action");
    this.#buttons.replaceChildren(...this.#fitting());
    if (focused) this.#buttons.querySelector<HTMLElement>(`[data-action="${focused}"]`)?.focus();
  }

  #fitting(): HTMLElement[] {
    const { call } = this;
    if (this.over) {
      return [
        this.#button("again", "again", "Call again", () => {
          this.remove();
          this.#actions.onAgain(this.number, this.#name);
        }),
        this.#button("close", "dismiss", "Dismiss", () => this.remove()),
      ];
    }
    const hangup = (label: string): HTMLElement =>
      this.#button("hangup", "hangup", label, () => call.hangup(), "danger");
    if (call.direction === "inbound" && call.state === "ringing") {
      return [this.#button("call", "answer", "Answer", () => call.answer(), "accept"), hangup("Decline")];
    }
    const muted = call.isMuted;
    const mute = lit(
      muted,
      this.#button(muted ? "micOff" : "mic", "mute", muted ? "Unmute" : "Mute", () => this.toggleMute()),
    );
    if (call.state !== "active" && call.state !== "held") return [mute, hangup("Cancel")];
    const held = call.state === "held";
    return [
      mute,
      lit(
        held,
        this.#button(held ? "play" : "pause", "hold", held ? "Resume" : "Hold", () => this.toggleHold()),
      ),
      this.#opener("keypad", "Keypad", !this.#pad.hidden, () => (this.#pad.hidden = !this.#pad.hidden)),
      this.#opener("transfer", "Transfer", this.#transfer.open, () => this.#transfer.toggle()),
      hangup("Hang up"),
    ];
  }

  #button(drawing: IconName, action: string, label: string, onClick: () => void, tone = ""): HTMLElement {
    return h(
      "button",
      { type: "button", class: `action ${tone}`, "data-action": action, onclick: onClick },
      h("span", { class: "action-icon" }, icon(drawing)),
      h("span", {}, label),
    );
  }

  /** A button that shows and hides a part of the card. */
  #opener(name: "keypad" | "transfer", label: string, open: boolean, toggle: () => void): HTMLElement {
    const button = this.#button(name, name, label, () => {
      toggle();
      this.#showButtons();
    });
    button.setAttribute("aria-expanded", String(open));
    return lit(open, button);
  }
}

/** Shows a button as switched on. Its words say what a click does, so that it is no `aria-pressed`. */
function lit(on: boolean, button: HTMLElement): HTMLElement {
  button.dataset["on"] = String(on);
  return button;
}
