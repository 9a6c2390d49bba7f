//! SIP messages: a lossless lazy parser, typed headers on demand, edits as splices.
