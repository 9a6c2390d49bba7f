//! Sounds of the gateway: the section `[b2bua_rtc.sounds]`, and the files that it names.

use crate::tones::{Material, SoundMaterials};
use offhook_audio::SAMPLE_RATE_HZ;
use offhook_audio::wav::{WavError, read_wav};
use offhook_media_control::SOUND_NAME_LEN_MAX;
use offhook_process::Problem;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Longest sound, seconds: it is kept in every codec, 45 KiB for a second of all of them together at most.
const SOUND_S_MAX: usize = 120;
/// Longest file, bytes: so many seconds of 16 bit samples, and room for what else programs write into WAV files.
const FILE_LEN_MAX: u64 = (SOUND_S_MAX * SAMPLE_RATE_HZ as usize * 2 + 64 * 1024) as u64;
/// Most sounds with a name of their own.
const NAMED_MAX: usize = 64;

/// What parties hear that wait.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SoundsConfig {
    /// What a party hears that is on hold: `music` (built in), `noise` (low, so that the line does not sound dead), or
    /// `{ file = "…" }`: WAV of one channel, 8000 Hz, 16 bit PCM or G.711, at most 120 s. Default `music`.
    pub hold: SoundChoice,
    /// What a party hears whose other end has lost its connection and may come back; as above. Default `noise`.
    pub away: SoundChoice,
    /// Further sounds, which signalling may play by their names; as above. Default: none.
    pub named: BTreeMap<String, SoundChoice>,
}

impl Default for SoundsConfig {
    fn default() -> Self {
        Self {
            hold: SoundChoice::Music,
            away: SoundChoice::Noise,
            named: BTreeMap::new(),
        }
    }
}

/// What a sound is made of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "SoundForm")]
pub enum SoundChoice {
    /// The built-in music.
    Music,
    /// Low noise.
    Noise,
    /// A WAV file.
    File(PathBuf),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "\"music\", \"noise\" or { file = \"/path/to.wav\" }")]
enum SoundForm {
    BuiltIn(BuiltIn),
    File(FileForm),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum BuiltIn {
    Music,
    Noise,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    file: PathBuf,
}

impl From<SoundForm> for SoundChoice {
    fn from(form: SoundForm) -> Self {
        match form {
            SoundForm::BuiltIn(BuiltIn::Music) => Self::Music,
            SoundForm::BuiltIn(BuiltIn::Noise) => Self::Noise,
            SoundForm::File(FileForm { file }) => Self::File(file),
        }
    }
}

/// Why a file cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum SoundError {
    /// It cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is longer than is kept.
    #[error("{} is longer than {SOUND_S_MAX} s, the most that is kept", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// It is no WAV file that can be played.
    #[error("{}: {source}", path.display())]
    Wav {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: WavError,
    },
}

impl SoundsConfig {
    /// What is wrong with it; files are read for that. Paths are relative to `[b2bua_rtc]`.
    pub(super) fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.named.len() > NAMED_MAX {
            problems.push(Problem::error(
                "sounds.named",
                format!("{} sounds, more than {NAMED_MAX}", self.named.len()),
                "Leave out those that nobody plays",
            ));
        }
        let nameless = |name: &&String| name.is_empty() || name.len() > SOUND_NAME_LEN_MAX;
        if let Some(name) = self.named.keys().find(nameless) {
            problems.push(Problem::error(
                "sounds.named",
                format!("the name {name:?} is not 1 to {SOUND_NAME_LEN_MAX} bytes long"),
                "Give it a short name",
            ));
        }
        let fixed = [("hold".to_owned(), &self.hold), ("away".to_owned(), &self.away)];
        let named = self
            .named
            .iter()
            .map(|(name, choice)| (format!("named.{name}"), choice));
        for (key, choice) in fixed.into_iter().chain(named) {
            if let Err(error) = choice.load() {
                let remedy = "Give a WAV file of one channel, 8000 Hz, 16 bit, or leave it out";
                problems.push(Problem::error(format!("sounds.{key}"), error.to_string(), remedy));
            }
        }
        problems
    }

    /// Reads the files.
    ///
    /// # Errors
    /// The first one that cannot be played.
    pub(crate) fn load(&self) -> Result<SoundMaterials, SoundError> {
        let named = self
            .named
            .iter()
            .map(|(name, choice)| Ok((name.clone(), choice.load()?)));
        Ok(SoundMaterials {
            hold: self.hold.load()?,
            away: self.away.load()?,
            named: named.collect::<Result<_, SoundError>>()?,
        })
    }
}

impl SoundChoice {
    fn load(&self) -> Result<Material, SoundError> {
        match self {
            Self::Music => Ok(Material::Music),
            Self::Noise => Ok(Material::Noise),
            Self::File(path) => read_file(path).map(Material::Samples),
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<i16>, SoundError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes))
        .map_err(|source| SoundError::Read {
            path: path.to_owned(),
            source,
        })?;
    let too_long = || SoundError::TooLong {
        path: path.to_owned(),
    };
    if bytes.len() as u64 > FILE_LEN_MAX {
        return Err(too_long());
    }
    let samples = read_wav(&bytes).map_err(|source| SoundError::Wav {
        path: path.to_owned(),
        source,
    })?;
    match samples.len() > SOUND_S_MAX * SAMPLE_RATE_HZ as usize {
        true => Err(too_long()),
        false => Ok(samples),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(text: &str) -> Result<SoundsConfig, serde_json::Error> {
        serde_json::from_str(text)
    }

    fn wav(samples: usize) -> Vec<u8> {
        let data = vec![1; samples * 2];
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
        file.extend([0x40, 0x1F, 0, 0, 0, 0, 0, 0, 2, 0, 16, 0]);
        file.extend(b"data");
        file.extend((data.len() as u32).to_le_bytes());
        file.extend(data);
        file
    }

    fn with_file(bytes: &[u8], then: impl FnOnce(&str)) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        then(file.path().to_str().unwrap());
    }

    #[test]
    fn built_in_sounds_and_files_are_read() {
        assert_eq!(read("{}").unwrap(), SoundsConfig::default());
        with_file(&wav(160), |path| {
            let config = read(&format!(
                r#"{{"hold": "noise", "away": {{"file": "{path}"}}, "named": {{"closed": "music"}}}}"#
            ))
            .unwrap();
            assert_eq!(config.check(), []);
            let materials = config.load().unwrap();
            assert_eq!(materials.hold, Material::Noise);
            assert_eq!(materials.away, Material::Samples(vec![0x0101; 160]));
            assert_eq!(materials.named["closed"], Material::Music);
        });
        assert!(
            read(r#"{"hold": "jazz"}"#)
                .unwrap_err()
                .to_string()
                .contains("music")
        );
        assert!(read(r#"{"hold": {"file": "a", "loop": true}}"#).is_err());
    }

    #[test]
    fn files_that_cannot_be_played_are_found_before_a_call_needs_them() {
        let problem = |path: &str| {
            let config = read(&format!(r#"{{"hold": {{"file": "{path}"}}}}"#)).unwrap();
            let [problem] = <[Problem; 1]>::try_from(config.check()).unwrap();
            assert_eq!(problem.path, "sounds.hold");
            problem.to_string()
        };
        assert!(problem("/nowhere/hold.wav").contains("cannot be read"));
        with_file(b"ID3", |path| assert!(problem(path).contains("not a WAV file")));
        let longest = SOUND_S_MAX * SAMPLE_RATE_HZ as usize;
        with_file(&wav(longest + 1), |path| {
            assert!(problem(path).contains("longer than 120 s"))
        });
        with_file(&vec![0; FILE_LEN_MAX as usize + 1], |path| {
            assert!(problem(path).contains("longer than 120 s"));
        });
        let many = (0..=NAMED_MAX)
            .map(|n| (n.to_string(), SoundChoice::Noise))
            .collect();
        let config = SoundsConfig {
            named: many,
            ..SoundsConfig::default()
        };
        assert_eq!(config.check().len(), 1);
    }
}
