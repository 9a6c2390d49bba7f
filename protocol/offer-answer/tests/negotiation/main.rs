//! Offer/answer as peers meet it: whole descriptions in, whole descriptions out.

mod browser_answers;
mod browser_offers;
mod carriers;
mod codec_choice;
mod common;
mod properties;
