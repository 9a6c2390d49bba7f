//! Voice SDK Proxy: client sessions and their calls, JSON-RPC <-> SIP.
