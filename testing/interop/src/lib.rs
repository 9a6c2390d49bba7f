//! Real peers: SIPp, baresip, Chromium; harness that starts and ends them.
