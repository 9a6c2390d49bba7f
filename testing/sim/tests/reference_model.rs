//! What every end sees is what the reference model says, whatever clients, carriers and the network do. `cargo xtask sim`
//! plays more and longer.

use offhook_sim::action::{actions, all_deeds};
use offhook_sim::play::{failure, play, shrink};

const ACTIONS: usize = 250;
const SEEDS: std::ops::Range<u64> = 0..16;

#[test]
fn every_end_sees_what_the_model_says_and_nothing_is_left() {
    for seed in SEEDS {
        let actions = actions(seed, ACTIONS);
        if failure(seed, &actions).is_some() {
            let (kept, why) = shrink(seed, &actions);
            let list: Vec<String> = kept.iter().map(ToString::to_string).collect();
            let numbers: Vec<String> = kept.iter().map(|action| action.number.to_string()).collect();
            panic!(
                "seed {seed}: {why}\n{}\nagain: cargo xtask sim --seed {seed} --only {}",
                list.join("\n"),
                numbers.join(",")
            );
        }
    }
}

#[test]
fn runs_do_much_and_are_functions_of_their_seed() {
    for seed in [2, 3] {
        let actions = actions(seed, ACTIONS);
        let report = play(seed, &actions).unwrap();
        assert_eq!(play(seed, &actions), Ok(report));
        assert!(
            report.actions > 100 && report.calls > 30 && report.looks > 30,
            "{report:?}"
        );
    }
}

#[test]
fn every_kind_of_action_finds_somebody_to_happen_to() {
    let deeds = |seed| play(seed, &actions(seed, ACTIONS)).expect("it goes well").deeds;
    assert_eq!(SEEDS.map(deeds).fold(0, |all, some| all | some), all_deeds());
}
