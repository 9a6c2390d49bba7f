/** The page: signs in, then joins the SDK's events to the views. */
import { OffhookClient, OffhookError, type Call, type DisconnectReason } from "@offhook/web-sdk";
import { CallsView } from "./calls-view.js";
import { DialView } from "./dial-view.js";
import { loadDemo, type Demo } from "./demo.js";
import { byId, h } from "./dom.js";
import { EventLog } from "./event-log.js";
import { icon } from "./icons.js";
import { LoginView, type Login } from "./login-view.js";
import { clearError, showError } from "./notices.js";
import { applyTheme, currentTheme, nextTheme } from "./theme.js";
import { endInDetail, stateInWords, transferInWords } from "./words.js";

type Presence = "offline" | "connecting" | "online";

function showPresence(presence: Presence, words: string): void {
  const element = byId("presence");
  element.dataset["presence"] = presence;
  element.textContent = words;
}

/** The server is wherever the page came from. */
function serverUrl(): string {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`;
}

function start(demo: Demo): void {
  const view = new LoginView(demo, (login) => signIn(demo, login, view));
  byId("main").replaceChildren(view.element);
  byId("top-actions").replaceChildren(themeButton());
  showPresence("offline", "Not signed in");
}

function signIn(demo: Demo, login: Login, view: LoginView): void {
  const { shown, ...credentials } = login;
  const client = new OffhookClient({
    host: serverUrl(),
    ...credentials,
    recoverCalls: true,
    logLevel: "info",
  });
  showPresence("connecting", "Signing in");
  let phone: Phone | null = null;
  client.on("ready", ({ region }) => {
    phone ??= new Phone(client, demo, () => start(demo));
    phone.onReady(`${shown}${region ? ` · ${region}` : ""}`);
  });
  client.on("error", ({ error, callId }) => {
    if (phone) return phone.onError(error, callId);
    view.showProblem(error.message, error.remedy);
    client.disconnect();
  });
  client.on("disconnected", ({ reason }) => {
    if (phone) phone.onDisconnected(reason);
    else showPresence("offline", "Not signed in");
  });
  client.connect();
}

/** What is on the page while somebody is signed in. */
class Phone {
  readonly #client: OffhookClient;
  readonly #dial: DialView;
  readonly #calls: CallsView;
  readonly #log = new EventLog();
  readonly #onSignedOut: () => void;
  readonly #onKey = (event: KeyboardEvent): void => this.#shortcut(event);

  constructor(client: OffhookClient, demo: Demo, onSignedOut: () => void) {
    this.#client = client;
    this.#onSignedOut = onSignedOut;
    this.#dial = new DialView(demo.numbers, (number, name) => this.#place(number, name));
    this.#calls = new CallsView(demo.numbers.length > 0, {
      onFailed: (thrown) => this.#failed(thrown),
      onAgain: (number, name) => this.#place(number, name),
    });
    byId("main").replaceChildren(
      h(
        "div",
        { class: "phone" },
        h("h1", { class: "visually-hidden" }, "Phone"),
        this.#dial.element,
        h("div", { class: "stage" }, this.#calls.element, this.#log.element, shortcuts()),
      ),
    );
    const signOut = h(
      "button",
      { type: "button", class: "quiet", onclick: () => client.disconnect() },
      "Sign out",
    );
    byId("top-actions").replaceChildren(themeButton(), signOut);
    client.on("notification", ({ call }) => this.#onCall(call));
    client.on("farHold", ({ call, held }) => {
      this.#calls.update(call);
      this.#log.add(held ? "The far end has put you on hold." : "The far end has taken you back.", "plain");
    });
    client.on("transfer", ({ call, by, state, sipCode }) => {
      this.#calls.update(call);
      this.#log.add(transferInWords(by, state, sipCode), state === "failed" ? "bad" : "plain");
    });
    client.on("digits", ({ digits }) => this.#log.add(`The far end pressed ${digits}.`, "plain"));
    client.on("message", ({ text }) => this.#log.add(`The far end writes: ${text}`, "plain"));
    client.on("reconnecting", ({ attempt, delayMs }) => {
      this.#dial.setEnabled(false);
      showPresence("connecting", `Reconnecting, try ${attempt}`);
      this.#log.add(`Connection lost; try ${attempt} follows in ${Math.round(delayMs / 1000)} s.`, "bad");
    });
    document.addEventListener("keydown", this.#onKey);
    this.#dial.focus();
    // One may ring already: it came while we were still being let in.
    for (const call of client.calls.values()) this.#onCall(call);
  }

  onReady(shown: string): void {
    clearError(45002);
    clearError(45003);
    this.#dial.setEnabled(true);
    showPresence("online", shown);
    this.#log.add("Ready: calls can be placed and taken.", "good");
  }

  onError(error: OffhookError, callId: string | null = null): void {
    if (callId !== null) this.#calls.fail(callId, error);
    showError(error);
    this.#log.add(`${error.message} ${error.remedy}`, "bad");
  }

  onDisconnected(reason: DisconnectReason): void {
    this.#dial.setEnabled(false);
    if (reason === "exhausted") {
      showPresence("offline", "Not connected");
      return;
    }
    document.removeEventListener("keydown", this.#onKey);
    this.#onSignedOut();
  }

  #place(number: string, name: string): void {
    try {
      const call = this.#client.newCall({ destinationNumber: number });
      this.#calls.name(call, name);
      this.#onCall(call);
    } catch (thrown) {
      this.#failed(thrown);
    }
  }

  #onCall(call: Call): void {
    this.#calls.update(call);
    const number = call.farNumber;
    if (call.state === "destroy") return;
    const why = call.state === "hangup" && call.end ? ` ${endInDetail(call.end)}` : "";
    this.#log.add(`${number}: ${stateInWords(call.state, call.direction)}.${why}`, toneOf(call));
  }

  #failed(thrown: unknown): void {
    if (thrown instanceof OffhookError) this.onError(thrown);
    else throw thrown;
  }

  #shortcut(event: KeyboardEvent): void {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
    if (typing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const card = this.#calls.current();
    if (!card) return;
    if (event.key === "m") card.toggleMute();
    else if (event.key === "h") card.toggleHold();
    else if (/^[0-9*#]$/.test(event.key)) card.press(event.key);
  }
}

function toneOf(call: Call): "plain" | "good" | "bad" {
  if (call.state === "active") return "good";
  return call.state === "hangup" && call.end?.by === "remote" && call.answeredAt === null ? "bad" : "plain";
}

function themeButton(): HTMLElement {
  const button: HTMLButtonElement = h(
    "button",
    {
      type: "button",
      class: "bare",
      onclick: () => {
        applyTheme(nextTheme(currentTheme()));
        label();
      },
    },
    icon("theme"),
  );
  const label = (): void => {
    button.setAttribute("aria-label", `Colours: ${currentTheme()}`);
    button.title = `Colours: ${currentTheme()}`;
  };
  label();
  return button;
}

function shortcuts(): HTMLElement {
  const keys: readonly [string, string][] = [
    ["m", "mute"],
    ["h", "hold"],
    ["0–9 * #", "send digits"],
  ];
  return h(
    "p",
    { class: "shortcuts muted" },
    ...keys.flatMap(([key, does]) => [h("kbd", {}, key), ` ${does}  `]),
  );
}

applyTheme(currentTheme());
start(await loadDemo());
