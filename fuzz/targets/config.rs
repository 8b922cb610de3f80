//! Configurations of all networks: one text is read as each of them.
#![cfg_attr(fuzzing, no_main)]

use afterimage_engine::config::{AfterimageConfig, FluxConfig, SchedulerConfig, VaeConfig};
use afterimage_engine::models::{ClipTextConfig, ReduxConfig, SiglipConfig, T5Config};
use afterimage_engine::sampling::sigmas;
use afterimage_engine::weights::Bundle;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// Files that the readers look for.
const NAMES: [&str; 3] = ["config.json", "scheduler_config.json", "afterimage.json"];

fuzz_target!(|text: &str| {
    let folder = TempDir::new().expect("a folder for temporary files");
    for name in NAMES {
        std::fs::write(folder.path().join(name), text).expect("room for temporary files");
    }
    let bundle = Bundle::open(folder.path()).expect("the folder");
    if let Ok(flux) = FluxConfig::read(&bundle) {
        assert!(flux.hidden() > 0 && flux.out_channels() > 0);
        assert_eq!(flux.axes_dims_rope.iter().sum::<usize>(), flux.attention_head_dim);
    }
    if let Ok(vae) = VaeConfig::read(&bundle) {
        assert!(vae.spatial_factor() > 0 && vae.activation_bytes(64, 64) > 0);
    }
    if let Ok(scheduler) = SchedulerConfig::read(&bundle) {
        let levels = sigmas(&scheduler, 256, 4);
        assert_eq!(levels.len(), 5);
    }
    let _ = AfterimageConfig::read(&bundle);
    let _ = (ClipTextConfig::read(&bundle), T5Config::read(&bundle));
    let _ = ReduxConfig::read(&bundle);
    if let Ok(siglip) = SiglipConfig::read(&bundle) {
        assert!(siglip.grid_side() > 0);
    }
});
