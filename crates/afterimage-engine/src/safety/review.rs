//! The stage: who looks at which pictures, and what follows.

use super::checkers::{Checkers, SafetyCheckers, Verdict};
use super::options::SafetyOptions;
use super::veil::{Veiled, black, blurred};
use crate::observer::Observer;
use afterimage_core::{Error, GenerationRequest, OnFlag, Picture, Result, SafetyFacts};
use afterimage_device::Device;
use std::sync::Arc;

/// The checkers of an engine and their rules.
pub(crate) struct Safety {
    /// `None`: nobody looks.
    checkers: Option<Box<dyn Checkers>>,
    options: SafetyOptions,
}

/// The checkers that `options` name, on `device`.
///
/// # Errors
/// Those of [`SafetyCheckers::open`].
pub(crate) fn open<D: Device>(device: &Arc<D>, options: &SafetyOptions) -> Result<Safety> {
    let checkers = SafetyCheckers::open(device, options)?;
    Ok(if checkers.is_empty() { Safety::none() } else { Safety::new(Box::new(checkers), options.clone()) })
}

impl Safety {
    /// Nobody looks.
    pub fn none() -> Self {
        Self { checkers: None, options: SafetyOptions::default() }
    }

    /// `checkers` by the rules of `options`.
    pub fn new(checkers: Box<dyn Checkers>, options: SafetyOptions) -> Self {
        Self { checkers: Some(checkers), options }
    }

    /// Names of the checkers.
    pub fn names(&self) -> Vec<String> {
        self.checkers.as_ref().map_or_else(Vec::new, |checkers| checkers.names())
    }

    /// Bytes of memory that the checkers take.
    pub fn bytes(&self) -> u64 {
        self.checkers.as_ref().map_or(0, |checkers| checkers.bytes())
    }

    /// The review that `request` gets, if it gets one.
    pub fn review(&self, request: &GenerationRequest) -> Option<Review<'_>> {
        let wanted = request.check_safety || self.options.required;
        let checkers = self.checkers.as_deref().filter(|_| wanted)?;
        Some(Review { checkers, options: &self.options })
    }
}

/// The review of one request.
pub(crate) struct Review<'a> {
    checkers: &'a dyn Checkers,
    options: &'a SafetyOptions,
}

/// What became of a request's results.
#[derive(Debug)]
pub(crate) struct Reviewed {
    /// For each picture whether it was flagged; `None`: it could not be checked.
    pub flagged: Vec<Option<bool>>,
    pub facts: SafetyFacts,
}

impl<'a> Review<'a> {
    /// Whoever watches, without seeing what will be withheld.
    pub const fn veil(&self, inner: &'a dyn Observer) -> Veiled<'a> {
        Veiled { inner, previews: self.options.previews }
    }

    /// Whether inputs are looked at.
    pub const fn wants_inputs(&self) -> bool {
        self.options.check_inputs
    }

    /// Looks at the input pictures.
    ///
    /// # Errors
    /// [`Error::Flagged`] for the first one that a checker objects to, [`Error::SafetyChecker`] when looking is required
    /// and fails, and those of `interrupted`.
    pub fn inputs<'p>(
        &self,
        sources: impl ExactSizeIterator<Item = &'p Picture>,
        interrupted: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        let several = sources.len() > 1;
        for (index, source) in sources.enumerate() {
            if self.look(source, interrupted)?.flagged == Some(true) {
                let source_name = if several { format!("picture {}", index + 1) } else { String::new() };
                return Err(Error::Flagged { source_name });
            }
        }
        Ok(())
    }

    /// Looks at the results, and hides those that are flagged.
    ///
    /// # Errors
    /// [`Error::SafetyChecker`] when looking is required and fails, and those of `interrupted`.
    pub fn results(&self, pictures: &mut [Picture], interrupted: &dyn Fn() -> Result<()>) -> Result<Reviewed> {
        let on_flag = self.options.on_flag;
        let (mut flagged, mut scores, mut failure) = (Vec::new(), Vec::new(), None);
        for picture in pictures {
            let verdict = self.look(picture, interrupted)?;
            if verdict.flagged == Some(true) {
                *picture = match on_flag {
                    OnFlag::Withhold => black(picture)?,
                    OnFlag::Blur => blurred(picture)?,
                    OnFlag::Keep => picture.clone(),
                };
            }
            flagged.push(verdict.flagged);
            scores.push(verdict.scores);
            failure = failure.or(verdict.failure);
        }
        Ok(Reviewed { flagged, facts: SafetyFacts { on_flag, scores, failure } })
    }

    /// What the checkers say of `picture`, where a failure need not end the request.
    fn look(&self, picture: &Picture, interrupted: &dyn Fn() -> Result<()>) -> Result<Verdict> {
        let verdict = self.checkers.check(picture, interrupted)?;
        match verdict.failure {
            Some(problem) if self.options.required => Err(Error::SafetyChecker { problem }),
            _ => Ok(verdict),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::checkers::asked;
    use super::*;
    use afterimage_core::{Size, Task};

    /// Two checkers. The first objects to pictures whose first byte is above 200, cannot look at those of 100, panics at those
    /// of 50; the second objects to those whose second byte is above 200.
    struct FirstByte;

    impl Checkers for FirstByte {
        fn names(&self) -> Vec<String> {
            vec!["first byte".to_owned(), "second byte".to_owned()]
        }

        fn check(&self, picture: &Picture, interrupted: &dyn Fn() -> Result<()>) -> Result<Verdict> {
            let answer = |byte: u8| Ok((byte > 200, f64::from(byte) / 255.0));
            let first = asked(|| {
                interrupted()?;
                match picture.rgb()[0] {
                    100 => Err(Error::SafetyChecker { problem: "no number".to_owned() }),
                    50 => panic!("on purpose"),
                    byte => answer(byte),
                }
            })?;
            Ok(Verdict::of(vec![first, asked(|| answer(picture.rgb()[1]))?], false))
        }
    }

    fn pictures(bytes: &[u8]) -> Vec<Picture> {
        bytes.iter().map(|byte| Picture::from_rgb(20, 10, vec![*byte; 600]).unwrap()).collect()
    }

    fn safety(options: SafetyOptions) -> Safety {
        Safety::new(Box::new(FirstByte), options)
    }

    fn request(check_safety: bool) -> GenerationRequest {
        GenerationRequest { check_safety, ..GenerationRequest::new(Task::TextToImage) }
    }

    #[test]
    fn who_is_looked_at() {
        let (free, required) = (SafetyOptions::default(), SafetyOptions { required: true, ..SafetyOptions::default() });
        for (options, asked, expected) in
            [(&free, true, true), (&free, false, false), (&required, true, true), (&required, false, true)]
        {
            assert_eq!(safety(options.clone()).review(&request(asked)).is_some(), expected, "{options:?} {asked}");
        }
        assert!(Safety::none().review(&request(true)).is_none());
    }

    #[test]
    fn one_of_four_is_hidden_as_the_policy_says() {
        let made = pictures(&[10, 255, 30, 40]);
        for (on_flag, expected) in [(OnFlag::Withhold, 0), (OnFlag::Blur, 255), (OnFlag::Keep, 255)] {
            let safety = safety(SafetyOptions { on_flag, ..SafetyOptions::default() });
            let mut shown = made.clone();
            let reviewed = safety.review(&request(true)).unwrap().results(&mut shown, &|| Ok(())).unwrap();
            assert_eq!(reviewed.flagged, [false, true, false, false].map(Some));
            assert_eq!(reviewed.facts.scores[1], [1.0, 1.0]);
            assert_eq!((reviewed.facts.on_flag, &reviewed.facts.failure), (on_flag, &None));
            for index in [0, 2, 3] {
                assert_eq!(shown[index].rgb(), made[index].rgb(), "{index}");
            }
            assert_eq!(shown[1].size(), Size::new(20, 10));
            assert!(shown[1].rgb().iter().all(|byte| *byte == expected));
        }
    }

    #[test]
    fn a_checker_that_cannot_look_says_nothing_or_ends_the_request() {
        for (byte, problem) in [(100, "no number"), (50, "it crashed")] {
            let mut made = pictures(&[10, byte]);
            let lenient = safety(SafetyOptions::default());
            let reviewed = lenient.review(&request(true)).unwrap().results(&mut made, &|| Ok(())).unwrap();
            assert_eq!(reviewed.flagged, [Some(false), None]);
            assert_eq!((reviewed.facts.scores[1].len(), reviewed.facts.failure.as_deref()), (0, Some(problem)));
            let strict = safety(SafetyOptions { required: true, ..SafetyOptions::default() });
            let error = strict.review(&request(true)).unwrap().results(&mut made, &|| Ok(())).unwrap_err();
            assert_eq!(error.to_string(), format!("safety checker: {problem}"));
        }
    }

    #[test]
    fn one_that_objects_is_heard_beside_one_that_cannot_look() {
        for byte in [100, 50] {
            let mut bytes = vec![byte; 600];
            bytes[1] = 255;
            let picture = Picture::from_rgb(20, 10, bytes).unwrap();
            let lenient = safety(SafetyOptions { check_inputs: true, ..SafetyOptions::default() });
            let (asked, go_on) = (request(true), || Ok(()));
            let review = lenient.review(&asked).unwrap();
            let mut shown = [picture.clone()];
            let reviewed = review.results(&mut shown, &go_on).unwrap();
            assert_eq!((reviewed.flagged, reviewed.facts.scores), (vec![Some(true)], vec![vec![]]));
            assert!(reviewed.facts.failure.is_some() && shown[0].rgb().iter().all(|byte| *byte == 0));
            assert!(matches!(review.inputs([picture].iter(), &go_on), Err(Error::Flagged { .. })));
        }
    }

    #[test]
    fn a_flagged_input_is_named_and_a_cancelled_review_ends() {
        let safety = safety(SafetyOptions { check_inputs: true, ..SafetyOptions::default() });
        let (asked, go_on) = (request(true), || Ok(()));
        let review = safety.review(&asked).unwrap();
        assert!(review.wants_inputs() && review.inputs(pictures(&[1, 2, 100]).iter(), &go_on).is_ok());
        let message = |sources: &[u8]| review.inputs(pictures(sources).iter(), &go_on).unwrap_err().to_string();
        assert_eq!(message(&[1, 255]), "picture 2: rejected by the safety checker");
        assert_eq!(message(&[255]), ": rejected by the safety checker");
        let stopped = review.results(&mut pictures(&[1]), &|| Err(Error::Cancelled)).unwrap_err();
        assert!(matches!(stopped, Error::Cancelled));
    }
}
