/** The requests about one call. Each fails with the error that the app is to see. */
import { CallError } from "../errors.js";
import type { Header } from "../signaling/messages.js";
import { RpcRefusal } from "../signaling/rpc.js";
import type { CallEnd } from "./call-state.js";

type Json = Record<string, unknown>;

/** What the server is told about a call besides its media. */
export interface Dialog {
  readonly destinationNumber: string;
  readonly callerNumber: string;
  readonly callerName: string;
  readonly customHeaders: readonly Header[] | undefined;
}

export class CallRequests {
  readonly #callId: string;
  readonly #request: (method: string, params: Json) => Promise<Json>;

  constructor(callId: string, request: (method: string, params: Json) => Promise<Json>) {
    this.#callId = callId;
    this.#request = request;
  }

  /** Sends our side of the media: the offer of `invite`, the answer of `answer` and `attach`. */
  async describe(method: "invite" | "answer" | "attach", sdp: string, dialog: Dialog): Promise<void> {
    const params = {
      sdp,
      dialogParams: {
        callID: this.#callId,
        destination_number: dialog.destinationNumber,
        caller_id_number: dialog.callerNumber,
        caller_id_name: dialog.callerName,
        custom_headers: dialog.customHeaders,
        audio: true,
        attach: method === "attach",
      },
    };
    await this.#ask(40005, method, params);
  }

  /** Says goodbye. A server that is gone ends its side by itself: only a refusal is an error. */
  async bye(end: CallEnd): Promise<void> {
    try {
      await this.#request("bye", { cause: end.cause, causeCode: end.causeCode, ...this.#dialog() });
    } catch (thrown) {
      if (thrown instanceof RpcRefusal) throw this.#error(44003, thrown);
    }
  }

  /** Gives what the server has made of it: whether the far end is on hold now. */
  async hold(action: "hold" | "unhold"): Promise<boolean> {
    const result = await this.#ask(44001, "modify", { action, ...this.#dialog() });
    return result["holdState"] === "held";
  }

  /** Sends an offer that searches a new path; gives the server's answer. */
  async updateMedia(sdp: string): Promise<string> {
    const params = { action: "updateMedia", callID: this.#callId, sdp, ...this.#dialog() };
    const { sdp: answer } = await this.#request("modify", params);
    if (typeof answer !== "string")
      throw this.#error(40004, new Error("the answer has no media description"));
    return answer;
  }

  async transfer(destination: string): Promise<void> {
    await this.#ask(44901, "modify", { action: "transfer", destination, ...this.#dialog() });
  }

  /** Joins this call's far end to that of another call of ours. */
  async replace(other: string): Promise<void> {
    await this.#ask(44901, "modify", { action: "replace", replaceCallID: other, ...this.#dialog() });
  }

  async digits(digits: string): Promise<void> {
    await this.#ask(44006, "info", { dtmf: digits, ...this.#dialog() });
  }

  async message(from: string, to: string, body: string): Promise<void> {
    await this.#ask(44902, "info", { msg: { from, to, body }, ...this.#dialog() });
  }

  async #ask(code: 40005 | 44001 | 44006 | 44901 | 44902, method: string, params: Json): Promise<Json> {
    try {
      return await this.#request(method, params);
    } catch (thrown) {
      throw this.#error(code, thrown);
    }
  }

  #error(code: ConstructorParameters<typeof CallError>[0], thrown: unknown): CallError {
    const detail = thrown instanceof Error ? thrown.message : String(thrown);
    return new CallError(code, { callId: this.#callId, detail, cause: thrown });
  }

  #dialog(): { dialogParams: { callID: string } } {
    return { dialogParams: { callID: this.#callId } };
  }
}
