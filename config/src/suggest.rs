//! The word that was probably meant.

/// The nearest of `words`, when it is near enough to be a slip of the hand.
pub(crate) fn nearest<'w>(word: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let word = fold(word);
    // A third of the letters may be wrong, from one to three of them; more is another word.
    let bound = (word.len() / 3).clamp(1, 3);
    words
        .into_iter()
        .map(|candidate| (distance(&word, &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Case and the choice between `-` and `_` are no difference. Long words are cut: nobody misspells 64 letters.
fn fold(word: &str) -> Vec<char> {
    let same = |c: char| if c == '-' { '_' } else { c.to_ascii_lowercase() };
    word.chars().take(64).map(same).collect()
}

/// Letters to insert, delete, replace or swap with their neighbour (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = Vec::new();
    let mut above = (0..=b.len()).collect::<Vec<_>>();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                let swapped: usize = before[j - 2];
                least = least.min(swapped + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let words = ["weight", "models", "idle", "first_byte_within"];
        assert_eq!(nearest("wieght", words), Some("weight"));
        assert_eq!(nearest("Idle", words), Some("idle"));
        assert_eq!(nearest("first-byte-within", words), Some("first_byte_within"));
        assert_eq!(nearest("model", words), Some("models"));
        assert_eq!(nearest("colour", words), None);
        assert_eq!(nearest("", words), None);
    }
}
