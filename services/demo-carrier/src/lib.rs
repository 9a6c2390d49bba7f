//! A carrier to try things against: echo, tone, announcement, busy, rejected, no answer, digit read-back.
