//! What a worker has to understand to run a job: servers and workers of two versions share a database during an upgrade.

use crate::JobSpec;
use afterimage_core::{GenerationRequest, Task, VariationSettings};

/// What this program understands of [`JobSpec`]s. Raised with the first field that a worker of before would overlook or
/// cannot read; such a worker leaves the jobs alone that need it, and the newer workers take them.
///
/// 1 is what 0.1 had; 2 adds inpainting, pictures with roles, strengths of parts of a run and second seeds.
pub const SPEC_PROTOCOL: i64 = 2;

/// What a worker has to understand to run `spec`: no more than it has to, so that old workers go on with what they can.
///
/// Every field is named, so that whoever adds one is asked here which workers know it.
pub fn needed_by(spec: &JobSpec) -> i64 {
    let JobSpec { request, sources: _, output: _, public_url: _, rates: _, trace: _ } = spec;
    let GenerationRequest {
        task,
        prompt: _,
        size: _,
        steps: _,
        guidance: _,
        seed: _,
        num_images: _,
        enlarge: _,
        roles,
        variation_seed,
        model: _,
        loras: _,
        check_safety: _,
    } = request;
    let of_task = match task {
        Task::Variation(settings) => {
            let VariationSettings {
                image_weights: _,
                empty_prompt: _,
                redux_strength: _,
                redux_spans,
                redux_downsample: _,
                start_strength,
            } = settings;
            second_if(!redux_spans.is_empty() || start_strength.is_some())
        }
        Task::ImageToImage { strength: _ } | Task::TextToImage => 1,
        Task::Inpaint(_) => 2,
    };
    of_task.max(second_if(!roles.is_empty() || variation_seed.is_some()))
}

fn second_if(is_needed: bool) -> i64 {
    if is_needed { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_core::{InpaintSettings, PictureRole, StrengthSpan, VariationSeed};

    fn needed(request: GenerationRequest) -> i64 {
        needed_by(&JobSpec { request, ..JobSpec::emptied() })
    }

    fn variation(settings: VariationSettings) -> GenerationRequest {
        GenerationRequest::new(Task::Variation(settings))
    }

    #[test]
    fn jobs_of_before_are_for_every_worker() {
        for task in
            [Task::TextToImage, Task::ImageToImage { strength: 0.3 }, Task::Variation(VariationSettings::default())]
        {
            assert_eq!(needed(GenerationRequest::new(task)), 1);
        }
    }

    #[test]
    fn what_a_worker_of_before_would_overlook_is_not_for_it() {
        let span = StrengthSpan { start: 0.0, end: 0.5, strength: 0.4 };
        let plain = || variation(VariationSettings::default());
        let newer = [
            GenerationRequest::new(Task::Inpaint(InpaintSettings::default())),
            variation(VariationSettings { redux_spans: vec![span], ..VariationSettings::default() }),
            variation(VariationSettings { start_strength: Some(0.7), ..VariationSettings::default() }),
            GenerationRequest { roles: vec![PictureRole::Picture, PictureRole::PictureMask], ..plain() },
            GenerationRequest { variation_seed: Some(VariationSeed { seed: None, strength: 0.1 }), ..plain() },
        ];
        for request in newer {
            assert_eq!(needed(request.clone()), SPEC_PROTOCOL, "{request:?}");
        }
    }
}
