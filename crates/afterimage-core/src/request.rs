//! What to generate, independent of who asks and on what it runs.

use crate::range::{check_range, out_of_range};
use crate::{Error, Field, FileReading, LoraChoice, MaskReading, ModelName, PictureRole, Result, Size, Task, limits};
use serde::{Deserialize, Serialize};

/// One request for 1 to 4 pictures. The input pictures travel beside it, decoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationRequest {
    /// What to do with the input pictures.
    pub task: Task,
    /// Text for both encoders; `None` and `""` mean no prompt.
    pub prompt: Option<String>,
    /// Output size in pixels, rounded down to multiples of 16; `None`: the model's native size, or for image-to-image
    /// the input's.
    pub size: Option<Size>,
    /// Length of the sigma schedule, 1..=50.
    pub steps: u32,
    /// Distilled guidance, 1..=20; ignored by models without a guidance embedding.
    pub guidance: f64,
    /// Seed of the noise; `None` draws one. Only the lower 32 bits matter, as in torch's CPU generator.
    pub seed: Option<u64>,
    /// Pictures to make, 1..=4. One noise stream continues from one to the next.
    pub num_images: u32,
    /// Whether a large picture is made small first, then enlarged and refined.
    #[serde(default)]
    pub enlarge: Enlarge,
    /// What each input picture is for, in their order; empty: all are pictures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<PictureRole>,
    /// Looks for pictures near those of `seed`. The first picture's noise is then every picture's, and the second seed's
    /// differs from picture to picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variation_seed: Option<VariationSeed>,
    /// Which of the server's sets of models is to run it; `None`: its only or default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
    /// What is added to the model for this request, each by its name in the operator's folder; at most 8, none twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loras: Vec<LoraChoice>,
    /// Whether the engine's safety checkers, if it has any, are to look at the results. An engine that requires them
    /// looks all the same.
    #[serde(default = "checked", skip_serializing_if = "is_checked")]
    pub check_safety: bool,
}

const fn checked() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
const fn is_checked(check_safety: &bool) -> bool {
    *check_safety
}

/// Whether a picture larger than what a model knows is made in two passes: small, in the same shape; then enlarged and
/// refined by image-to-image under the same condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Enlarge {
    /// When the model's `afterimage.json` asks for it, as the embedded demo model's does; FLUX.1 has none.
    #[default]
    Auto,
    /// Never: one pass at the full size, as diffusers does.
    Off,
    /// Whatever the model: the first pass has about this many pixels, 256..=16,777,216, when more than these are asked for.
    #[cfg_attr(feature = "clap", value(skip))]
    FromPixels(u64),
}

/// A second seed, near which the first one's pictures are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VariationSeed {
    /// Seed of the other noise; `None` draws one. Only the lower 32 bits matter.
    pub seed: Option<u64>,
    /// 0..=1: how far from the request's own noise, along the arc between the two. 0 is the request's own.
    pub strength: f64,
}

impl GenerationRequest {
    /// A request with the command line's defaults: 28 steps, guidance 3.5, one picture, a drawn seed.
    pub fn new(task: Task) -> Self {
        Self {
            task,
            prompt: None,
            size: None,
            steps: 28,
            guidance: 3.5,
            seed: None,
            num_images: 1,
            enlarge: Enlarge::Auto,
            roles: Vec::new(),
            variation_seed: None,
            model: None,
            loras: Vec::new(),
            check_safety: true,
        }
    }

    /// The prompt, or `None` when there is nothing but an empty string.
    pub fn prompt_text(&self) -> Option<&str> {
        self.prompt.as_deref().filter(|text| !text.is_empty())
    }

    /// Checks every field, and that they fit the input pictures: one of `sources` for each, its size if that is known.
    ///
    /// # Errors
    /// [`Error::Field`] for the first field out of range, then [`Error::SourceSize`].
    pub fn check(&self, sources: &[Option<Size>]) -> Result<()> {
        let (shortest, longest) = limits::SIDE.into_inner();
        if let Some(size) = self.size.filter(|size| !is_makeable(*size)) {
            let problem = format!("{size} is out of range; each side takes {shortest} to {longest} pixels");
            return Err(Error::field(Field::Size, problem));
        }
        check_range(Field::Steps, self.steps, &limits::STEPS)?;
        check_range(Field::Guidance, self.guidance, &limits::GUIDANCE)?;
        check_range(Field::NumImages, self.num_images, &limits::NUM_IMAGES)?;
        if let Some(prompt) = self.prompt.as_ref().filter(|prompt| prompt.len() > limits::PROMPT_BYTES) {
            let (bytes, most) = (prompt.len(), limits::PROMPT_BYTES);
            return Err(Error::field(
                Field::Prompt,
                format!("{bytes} bytes are too long; at most {most} are accepted"),
            ));
        }
        if let Enlarge::FromPixels(pixels) = self.enlarge
            && !limits::ENLARGE_PIXELS.contains(&pixels)
        {
            return Err(out_of_range(Field::Enlarge, format!("{pixels} pixels"), &limits::ENLARGE_PIXELS));
        }
        if let Some(VariationSeed { strength, .. }) = self.variation_seed {
            check_range(Field::VariationStrength, strength, &limits::VARIATION_STRENGTH)?;
        }
        LoraChoice::check(&self.loras)?;
        self.check_task(sources)
    }

    /// What picture `index` of `sources` is for.
    pub fn role(&self, index: usize) -> PictureRole {
        self.roles.get(index).copied().unwrap_or_default()
    }

    /// How the file of picture `index` is to be read.
    pub fn reading(&self, index: usize) -> FileReading {
        match (self.role(index), &self.task) {
            (PictureRole::Mask, Task::Inpaint(settings)) => FileReading::Mask(settings.mask_reading),
            (PictureRole::Mask | PictureRole::PictureMask, _) => FileReading::Mask(MaskReading::Brightness),
            (PictureRole::Picture | PictureRole::Start, _) => FileReading::Picture,
        }
    }

    /// Those of `sources`, one for each input picture, that have `role`, in their order.
    pub fn in_role<'a, T>(&self, role: PictureRole, sources: &'a [T]) -> impl Iterator<Item = &'a T> {
        sources.iter().enumerate().filter(move |(index, _)| self.role(*index) == role).map(|(_, source)| source)
    }

    /// Each picture of `sources` that is to be varied, with its mask if it has one.
    pub fn pictures_with_masks<'a, T>(&self, sources: &'a [T]) -> Vec<(&'a T, Option<&'a T>)> {
        let mut pictures: Vec<(&T, Option<&T>)> = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            match (self.role(index), pictures.last_mut()) {
                (PictureRole::Picture, _) => pictures.push((source, None)),
                (PictureRole::PictureMask, Some((_, mask))) => *mask = Some(source),
                _ => {}
            }
        }
        pictures
    }

    /// The one of `sources` whose noised latents the first step starts from.
    pub fn start<'a, T>(&self, sources: &'a [T]) -> Option<&'a T> {
        match self.task {
            Task::Variation(_) => self.in_role(PictureRole::Start, sources).next(),
            Task::ImageToImage { .. } | Task::Inpaint(_) => self.in_role(PictureRole::Picture, sources).next(),
            Task::TextToImage => None,
        }
    }

    /// Whether the roles are as many as the pictures and such as the task has.
    fn check_roles(&self, count: usize) -> Result<()> {
        if !self.roles.is_empty() && self.roles.len() != count {
            let problem = format!("{} roles for {count} pictures; name one for each or none", self.roles.len());
            return Err(Error::field(Field::Image, problem));
        }
        let mut before = None;
        for role in &self.roles {
            let field = match (role, &self.task) {
                (PictureRole::Picture, _)
                | (PictureRole::Start, Task::Variation(_))
                | (PictureRole::Mask, Task::Inpaint(_)) => None,
                (PictureRole::PictureMask, Task::Variation(_)) if before == Some(PictureRole::Picture) => None,
                (PictureRole::PictureMask, _) => Some(Field::ImageMask),
                (PictureRole::Start, _) => Some(Field::Start),
                (PictureRole::Mask, _) => Some(Field::Mask),
            };
            if let Some(field) = field {
                let problem = match field {
                    Field::ImageMask => "there are more masks than pictures; give at most one for each",
                    _ => "there is nothing here that it could belong to",
                };
                return Err(Error::field(field, problem));
            }
            before = Some(*role);
        }
        let starts = self.roles.iter().filter(|role| **role == PictureRole::Start).count();
        check_range(Field::Start, starts, &(0..=1))
    }

    fn check_task(&self, sources: &[Option<Size>]) -> Result<()> {
        self.check_roles(sources.len())?;
        let count = self.in_role(PictureRole::Picture, sources).count();
        match &self.task {
            Task::Variation(settings) => {
                let start = self.start(sources);
                settings.check(count, start.is_some())?;
                start.map_or(Ok(()), |start| self.check_start(*start))
            }
            Task::ImageToImage { strength } => {
                let source = self.only_picture(sources, "image-to-image")?;
                check_range(Field::Strength, *strength, &limits::STRENGTH)?;
                self.needs_prompt("image-to-image")?;
                self.check_start(source)
            }
            Task::Inpaint(settings) => {
                let source = self.only_picture(sources, "inpainting")?;
                let masks = self.in_role(PictureRole::Mask, sources).count();
                if masks != 1 {
                    return Err(Error::field(Field::Mask, format!("{masks} masks; inpainting takes exactly one")));
                }
                settings.check()?;
                self.needs_prompt("inpainting")?;
                self.check_start(source)
            }
            Task::TextToImage => {
                if count != 0 {
                    return Err(Error::field(Field::Image, "text-to-image takes no picture"));
                }
                self.needs_prompt("text-to-image")
            }
        }
    }

    /// The size of the one picture that the task called `name` takes.
    fn only_picture(&self, sources: &[Option<Size>], name: &str) -> Result<Option<Size>> {
        let mut pictures = self.in_role(PictureRole::Picture, sources);
        match (pictures.next(), pictures.count()) {
            (Some(picture), 0) => Ok(*picture),
            (first, others) => {
                let count = usize::from(first.is_some()) + others;
                Err(Error::field(Field::Image, format!("{count} pictures; {name} takes exactly one")))
            }
        }
    }

    fn needs_prompt(&self, name: &str) -> Result<()> {
        match self.prompt_text() {
            Some(_) => Ok(()),
            None => Err(Error::field(Field::Prompt, format!("missing; {name} needs a text"))),
        }
    }

    /// Whether a picture of the size of `start`, if that is known, can be made where no size is named.
    fn check_start(&self, start: Option<Size>) -> Result<()> {
        match start.filter(|size| self.size.is_none() && !is_makeable(*size)) {
            Some(size) => Err(Error::SourceSize(size)),
            None => Ok(()),
        }
    }
}

fn is_makeable(size: Size) -> bool {
    limits::SIDE.contains(&size.width) && limits::SIDE.contains(&size.height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InpaintSettings, VariationSettings};

    fn field_of(request: &GenerationRequest, sources: usize) -> Option<Field> {
        match request.check(&vec![None; sources]) {
            Ok(()) => None,
            Err(Error::Field { field, .. }) => Some(field),
            Err(other) => panic!("unexpected {other}"),
        }
    }

    fn variation() -> GenerationRequest {
        GenerationRequest::new(Task::Variation(VariationSettings::default()))
    }

    #[test]
    fn defaults_are_valid() {
        assert_eq!(field_of(&variation(), 1), None);
    }

    #[test]
    fn each_bad_value_names_its_field() {
        let with = |change: fn(&mut GenerationRequest)| {
            let mut request = variation();
            change(&mut request);
            field_of(&request, 1)
        };
        assert_eq!(with(|r| r.steps = 0), Some(Field::Steps));
        assert_eq!(with(|r| r.steps = 51), Some(Field::Steps));
        assert_eq!(with(|r| r.guidance = f64::NAN), Some(Field::Guidance));
        assert_eq!(with(|r| r.guidance = f64::INFINITY), Some(Field::Guidance));
        assert_eq!(with(|r| r.size = Some(Size::new(8, 512))), Some(Field::Size));
        assert_eq!(with(|r| r.size = Some(Size::new(512, 99_999))), Some(Field::Size));
        let lora = |r: &mut GenerationRequest| r.loras = vec![LoraChoice { name: "a".parse().unwrap(), scale: 5.0 }];
        assert_eq!(with(lora), Some(Field::Loras));
        assert_eq!(with(|r| r.num_images = 5), Some(Field::NumImages));
        assert_eq!(with(|r| r.prompt = Some("x".repeat(1 << 20))), Some(Field::Prompt));
        assert_eq!(with(|r| r.task = Task::ImageToImage { strength: 0.5 }), Some(Field::Prompt));
        let near = |r: &mut GenerationRequest| r.variation_seed = Some(VariationSeed { seed: None, strength: 1.5 });
        assert_eq!(with(near), Some(Field::VariationStrength));
    }

    #[test]
    fn weights_must_match_the_pictures() {
        let settings = VariationSettings { image_weights: vec![0.5], ..VariationSettings::default() };
        let request = GenerationRequest::new(Task::Variation(settings));
        assert_eq!(field_of(&request, 2), Some(Field::ImageWeight));
        assert_eq!(field_of(&request, 1), None);
    }

    #[test]
    fn every_picture_has_a_role_that_its_task_knows() {
        use PictureRole::{Mask, Picture, PictureMask, Start};
        let with = |task: Task, roles: &[PictureRole]| {
            let request =
                GenerationRequest { roles: roles.to_vec(), prompt: Some("p".into()), ..GenerationRequest::new(task) };
            field_of(&request, roles.len())
        };
        let vary =
            |start_strength| Task::Variation(VariationSettings { start_strength, ..VariationSettings::default() });
        let inpaint = || Task::Inpaint(InpaintSettings::default());
        assert_eq!(with(vary(None), &[Picture, PictureMask, Picture, Picture, PictureMask]), None);
        assert_eq!(with(vary(Some(0.5)), &[Picture, PictureMask, Start]), None);
        assert_eq!(with(vary(None), &[Picture, PictureMask, Start]), Some(Field::Strength));
        assert_eq!(with(vary(Some(0.5)), &[Picture, Start, Start]), Some(Field::Start));
        assert_eq!(with(vary(Some(0.5)), &[Start]), Some(Field::Image));
        assert_eq!(with(vary(None), &[PictureMask, Picture]), Some(Field::ImageMask));
        assert_eq!(with(vary(None), &[Picture, PictureMask, PictureMask]), Some(Field::ImageMask));
        assert_eq!(with(vary(None), &[Picture, Mask]), Some(Field::Mask));
        assert_eq!(with(inpaint(), &[Picture, Mask]), None);
        assert_eq!(with(inpaint(), &[Mask, Picture]), None);
        assert_eq!(with(inpaint(), &[Picture]), Some(Field::Mask));
        assert_eq!(with(inpaint(), &[Picture, Mask, Mask]), Some(Field::Mask));
        assert_eq!(with(inpaint(), &[Picture, Picture, Mask]), Some(Field::Image));
        assert_eq!(with(inpaint(), &[Picture, PictureMask]), Some(Field::ImageMask));
        assert_eq!(with(Task::ImageToImage { strength: 0.5 }, &[Picture, Mask]), Some(Field::Mask));
        assert_eq!(with(Task::ImageToImage { strength: 0.5 }, &[Picture, Start]), Some(Field::Start));
        assert_eq!(with(Task::TextToImage, &[]), None);
        let short = GenerationRequest { roles: vec![Picture], ..variation() };
        assert_eq!(field_of(&short, 2), Some(Field::Image));
    }

    #[test]
    fn masks_go_to_the_picture_before_them() {
        use PictureRole::{Picture, PictureMask, Start};
        let request = GenerationRequest { roles: vec![Picture, Picture, PictureMask, Start], ..variation() };
        let sources = ["a", "b", "mask of b", "start"];
        assert_eq!(request.pictures_with_masks(&sources), [(&"a", None), (&"b", Some(&"mask of b"))]);
        assert_eq!(request.start(&sources), Some(&"start"));
        assert_eq!(variation().pictures_with_masks(&["a"]), [(&"a", None)]);
    }

    #[test]
    fn an_image_to_image_source_of_known_size_must_be_one_that_can_be_made() {
        let mut request = GenerationRequest::new(Task::ImageToImage { strength: 0.5 });
        request.prompt = Some("a quay".to_owned());
        let (usable, small) = (Size::new(16, 4096), Size::new(15, 64));
        assert!(request.check(&[None]).is_ok() && request.check(&[Some(usable)]).is_ok());
        let error = request.check(&[Some(small)]).unwrap_err();
        assert!(matches!(error, Error::SourceSize(size) if size == small));
        let expected = "missing; the picture's 15x64 is out of range (16 to 4096 pixels a side), so name a size";
        assert_eq!(error.as_field(), Some((Field::Size, expected.into())));
        assert_eq!(error.to_string(), format!("size: {expected}"));
        request.size = Some(usable);
        assert!(request.check(&[Some(small)]).is_ok(), "a size was named");
    }

    #[test]
    fn the_largest_first_pass_is_the_largest_square() {
        let squares = [*limits::SIDE.start(), *limits::SIDE.end()].map(|side| u64::from(side).pow(2));
        assert_eq!(limits::ENLARGE_PIXELS, squares[0]..=squares[1]);
    }

    #[test]
    fn fields_are_named_as_serde_spells_them() {
        use serde::de::IntoDeserializer;
        use serde::de::value::{Error as Unknown, StrDeserializer};
        for field in [Field::Image, Field::ImageWeight, Field::NumImages, Field::ReduxDownsample] {
            let name: StrDeserializer<Unknown> = field.name().into_deserializer();
            assert_eq!(Field::deserialize(name), Ok(field));
        }
    }
}
