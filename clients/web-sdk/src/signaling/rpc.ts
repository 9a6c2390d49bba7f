/** Matches answers to requests. Knows nothing of the socket: bytes leave by `send`, frames come in by `settle`. */
import { request, type RpcRequest } from "./messages.js";

/** More requests than this unanswered means that the server is gone; memory stays bounded. */
const PENDING_MAX = 256;
export const REQUEST_TIMEOUT_MS = 10_000;

type Json = Record<string, unknown>;

/** The server answered with an error. */
export class RpcRefusal extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.name = "RpcRefusal";
    this.code = code;
  }
}

/** No answer will come: it took too long, or the connection is gone. */
export class RpcLost extends Error {
  override readonly name = "RpcLost";
}

interface Pending {
  resolve(result: Json): void;
  reject(error: Error): void;
  timer: ReturnType<typeof setTimeout>;
}

export class Rpc {
  readonly #pending = new Map<string, Pending>();
  readonly #send: (message: RpcRequest) => boolean;

  /** `send` says whether the message left. */
  constructor(send: (message: RpcRequest) => boolean) {
    this.#send = send;
  }

  /** Sends a request; resolves with the result, rejects with `RpcRefusal` or `RpcLost`. */
  call(method: string, params: Json, timeoutMs = REQUEST_TIMEOUT_MS): Promise<Json> {
    return new Promise((resolve, reject) => {
      if (this.#pending.size >= PENDING_MAX) {
        reject(new RpcLost("too many unanswered requests"));
        return;
      }
      const message = request(method, params);
      if (!this.#send(message)) {
        reject(new RpcLost("not connected"));
        return;
      }
      const timer = setTimeout(() => {
        this.#pending.delete(message.id);
        reject(new RpcLost(`no answer to ${method} within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#pending.set(message.id, { resolve, reject, timer });
    });
  }

  /** Hands an answer to whoever asked; an answer that nobody waits for is ignored. */
  settle(answer: { id: string; result: Json } | { id: string; code: number; message: string }): void {
    const pending = this.#take(answer.id);
    if (!pending) return;
    if ("result" in answer) pending.resolve(answer.result);
    else pending.reject(new RpcRefusal(answer.code, answer.message));
  }

  /** Fails everything that is still open; the answers of an old connection never come. */
  abandon(why: string): void {
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(new RpcLost(why));
  }

  #take(id: string): Pending | undefined {
    const pending = this.#pending.get(id);
    if (pending) {
      clearTimeout(pending.timer);
      this.#pending.delete(id);
    }
    return pending;
  }
}
