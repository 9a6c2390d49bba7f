/** The browser's WebSocket, reduced to what the session needs: one socket, text frames, one close. */

export interface Socket {
  /** False when the socket is not open, so that the message did not leave. */
  send(message: object): boolean;
  /** Closes; `onClose` follows at most `CLOSE_GRACE_MS` later even when the network is dead. */
  close(): void;
}

export interface SocketHandlers {
  onOpen(): unknown;
  onText(text: string): unknown;
  /** Exactly once for each socket, also for one that never opened. */
  onClose(): unknown;
}

/** How long a dead network may delay the closing handshake. */
const CLOSE_GRACE_MS = 2_000;

/** The address as a WebSocket URL: a bare host gets `wss://`, and the session's name is put into the query. */
export function socketUrl(host: string, voiceSdkId: string | null): string {
  const url = new URL(/^wss?:\/\//.test(host) ? host : `wss://${host}`);
  if (voiceSdkId !== null) url.searchParams.set("voice_sdk_id", voiceSdkId);
  return url.href;
}

/** Opens a socket. Throws when the browser finds the address invalid. */
export function openSocket(url: string, handlers: SocketHandlers): Socket {
  const socket = new WebSocket(url);
  let closed = false;
  const closeOnce = (): void => {
    if (closed) return;
    closed = true;
    handlers.onClose();
  };
  socket.onopen = () => {
    if (!closed) handlers.onOpen();
  };
  socket.onmessage = (event: MessageEvent<unknown>) => {
    if (!closed && typeof event.data === "string") handlers.onText(event.data);
  };
  socket.onclose = closeOnce;
  return {
    send(message) {
      if (socket.readyState !== WebSocket.OPEN) return false;
      socket.send(JSON.stringify(message));
      return true;
    },
    close() {
      socket.close();
      setTimeout(closeOnce, CLOSE_GRACE_MS);
    },
  };
}
