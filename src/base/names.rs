//! Invented names for what a script did not name: `adjective-animal-123`.

const ADJECTIVES: [&str; 32] = [
    "able", "amber", "bold", "brave", "bright", "calm", "clever", "crisp", "deep", "eager", "fair", "fleet", "gentle",
    "grand", "happy", "keen", "kind", "lively", "lucid", "merry", "noble", "proud", "quick", "quiet", "rapid", "smart",
    "steady", "swift", "tidy", "vivid", "warm", "wise",
];
const ANIMALS: [&str; 32] = [
    "badger", "bear", "crane", "crow", "deer", "dove", "duck", "eagle", "elk", "falcon", "finch", "fox", "goat",
    "hare", "hawk", "heron", "horse", "ibis", "jay", "lark", "lynx", "mole", "moose", "otter", "owl", "raven", "robin",
    "seal", "stork", "swan", "trout", "wolf",
];

/// A readable name from random bits; the same bits give the same name.
pub fn invent(random: u128) -> String {
    let pick = |list: &[&'static str; 32], shift: u32| list[(random >> shift) as usize % 32];
    format!("{}-{}-{}", pick(&ADJECTIVES, 0), pick(&ANIMALS, 16), (random >> 32) % 1000)
}
