//! From the command line to what it asks for.

use crate::{
    arguments::{Arguments, Command, LogArguments, LogFormatArgument},
    check,
    config::Config,
    demo::{self, DEMO},
    hash_password, keygen, ports,
    roles::Role,
    serve, sessions, token,
};
use offhook_process::{
    Severity,
    admin::AdminConfig,
    logging::{self, LogFormat},
};
use std::{error::Error, path::Path, process::ExitCode};

/// Does what the command line asks. The error is for a person to read.
pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let log = &arguments.log;
    match arguments.command {
        Command::Up {
            config: None,
            free_ports,
        } => {
            let mut config = demo::config(free_ports);
            set_up_log(&config, log)?;
            ports::settle(&mut config)?;
            let roles = config.roles();
            serve::run(config, &roles, Some(DEMO)).await?;
        }
        Command::Up {
            config: Some(file), ..
        } => {
            let config = load(&file)?;
            return run_roles(config, log, &file, &Role::ALL).await;
        }
        Command::Vsp(file) => return run_roles(load(&file.config)?, log, &file.config, &[Role::Vsp]).await,
        Command::SipProxy(file) => {
            return run_roles(load(&file.config)?, log, &file.config, &[Role::SipProxy]).await;
        }
        Command::B2buaRtc(file) => {
            return run_roles(load(&file.config)?, log, &file.config, &[Role::B2buaRtc]).await;
        }
        Command::GeoDns(file) => {
            return run_roles(load(&file.config)?, log, &file.config, &[Role::GeoDns]).await;
        }
        Command::Check { file, json, probe } => {
            let ok = check::run(&file.config, json, probe).await?;
            return Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Token { file, user, ttl, key } => {
            token::run(&load(&file.config)?, &user, ttl, key.as_deref())?
        }
        Command::Keygen { alg, out } => keygen::run(alg, &out)?,
        Command::Sessions { admin, user, json } => {
            sessions::list(&admin_config(admin.config.as_deref())?, user.as_deref(), json).await?
        }
        Command::Punt { admin, session, user } => {
            let admin = admin_config(admin.config.as_deref())?;
            sessions::punt(&admin, session.as_deref(), user.as_deref()).await?
        }
        Command::HashPassword => hash_password::run()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn load(file: &Path) -> Result<Config, Box<dyn Error>> {
    Ok(Config::load(file)?)
}

fn admin_config(file: Option<&Path>) -> Result<AdminConfig, Box<dyn Error>> {
    Ok(match file {
        Some(file) => load(file)?.admin,
        None => AdminConfig::default(),
    })
}

fn set_up_log(config: &Config, arguments: &LogArguments) -> Result<(), logging::LoggingError> {
    let format = match arguments.log_format {
        Some(LogFormatArgument::Human) => LogFormat::Human,
        Some(LogFormatArgument::Json) => LogFormat::Json,
        None => config.log.format,
    };
    logging::init(format, arguments.log.as_deref().unwrap_or(&config.log.filter))
}

/// Runs those of `wanted` whose sections `file` has, if nothing is wrong with it.
async fn run_roles(
    mut config: Config,
    log: &LogArguments,
    file: &Path,
    wanted: &[Role],
) -> Result<ExitCode, Box<dyn Error>> {
    set_up_log(&config, log)?;
    let mut sound = true;
    for problem in config.check() {
        match problem.severity {
            Severity::Warning => {
                tracing::warn!(path = problem.path, remedy = problem.remedy, "{}", problem.what)
            }
            Severity::Error => {
                tracing::error!(path = problem.path, remedy = problem.remedy, "{}", problem.what);
                sound = false;
            }
        }
    }
    if !sound {
        return Err(format!("{} has errors; `offhook check` says them in full", file.display()).into());
    }
    let roles = config
        .roles()
        .into_iter()
        .filter(|role| wanted.contains(role))
        .collect::<Vec<_>>();
    if let ([role], true) = (wanted, roles.is_empty()) {
        return Err(format!("{} has no section [{}]", file.display(), role.section()).into());
    }
    ports::settle(&mut config)?;
    serve::run(config, &roles, None).await?;
    Ok(ExitCode::SUCCESS)
}
