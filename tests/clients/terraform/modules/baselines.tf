# SPDX-License-Identifier: Apache-2.0
# Patch baselines in every form of a rule, the default, patch groups, and what can be read of them.

resource "aws_ssm_patch_baseline" "debian" {
  name                                 = "debian-production"
  description                          = local.changed ? "Debian, changed" : "Debian"
  operating_system                     = "DEBIAN"
  approved_patches                     = local.changed ? ["openssl*", "zlib1g"] : ["openssl*"]
  approved_patches_compliance_level    = "HIGH"
  approved_patches_enable_non_security = true
  rejected_patches                     = ["telnetd", "rsh-server"]
  rejected_patches_action              = local.changed ? "ALLOW_AS_DEPENDENCY" : "BLOCK"

  global_filter {
    key    = "PRODUCT"
    values = ["Debian11", "Debian12"]
  }
  global_filter {
    key    = "SECTION"
    values = ["*"]
  }

  approval_rule {
    approve_after_days  = local.changed ? 3 : 0
    compliance_level    = "CRITICAL"
    enable_non_security = true
    patch_filter {
      key    = "PRIORITY"
      values = ["Required", "Important"]
    }
    patch_filter {
      key    = "SECTION"
      values = ["*"]
    }
  }
  approval_rule {
    approve_until_date = "2026-01-31"
    patch_filter {
      key    = "PRODUCT"
      values = ["Debian12"]
    }
  }

  source {
    name          = "internal"
    products      = ["Debian12"]
    configuration = "deb https://packages.example.com/debian bookworm main"
  }

  tags = local.changed ? { Environment = "Production", Owner = "web" } : { Environment = "Production", Stage = "blue" }
}

resource "aws_ssm_patch_baseline" "windows" {
  name = "windows-production"

  global_filter {
    key    = "PRODUCT"
    values = ["WindowsServer2019"]
  }
  global_filter {
    key    = "CLASSIFICATION"
    values = ["ServicePacks"]
  }
  global_filter {
    key    = "MSRC_SEVERITY"
    values = ["Low"]
  }

  approval_rule {
    approve_after_days = 7
    patch_filter {
      key    = "CLASSIFICATION"
      values = ["CriticalUpdates", "SecurityUpdates", "Updates"]
    }
    patch_filter {
      key    = "MSRC_SEVERITY"
      values = ["Critical", "Important", "Moderate"]
    }
  }
  approval_rule {
    approve_after_days = 14
    patch_filter {
      key    = "PATCH_SET"
      values = ["APPLICATION"]
    }
    patch_filter {
      key    = "PRODUCT_FAMILY"
      values = ["Office"]
    }
  }
}

resource "aws_ssm_patch_baseline" "amazon" {
  name             = local.changed ? "amazon-renamed" : "amazon"
  operating_system = "AMAZON_LINUX_2023"

  approval_rule {
    approve_after_days  = 7
    compliance_level    = "MEDIUM"
    enable_non_security = local.changed
    patch_filter {
      key    = "CLASSIFICATION"
      values = ["Security", "Bugfix"]
    }
    patch_filter {
      key    = "SEVERITY"
      values = ["Critical", "Important"]
    }
  }
  source {
    name          = "one"
    products      = ["*"]
    configuration = "[one]\nname=one\nbaseurl=https://packages.example.com/one\n"
  }
  source {
    name          = "two"
    products      = ["AmazonLinux2023"]
    configuration = "[two]\nname=two\nbaseurl=https://packages.example.com/two\nenabled=1\n"
  }
}

# Nothing but what is approved and rejected by name, and every default.
resource "aws_ssm_patch_baseline" "bare" {
  name             = "bare"
  operating_system = "SUSE"
  approved_patches = ["SUSE-SLE-Module-Basesystem-15-SP5-2026-1"]
}

resource "aws_ssm_default_patch_baseline" "debian" {
  baseline_id      = aws_ssm_patch_baseline.debian.id
  operating_system = aws_ssm_patch_baseline.debian.operating_system
}

resource "aws_ssm_patch_group" "web" {
  baseline_id = aws_ssm_patch_baseline.debian.id
  patch_group = local.changed ? "web-2" : "web"
}

resource "aws_ssm_patch_group" "web_windows" {
  baseline_id = aws_ssm_patch_baseline.windows.id
  patch_group = "web servers"
}

data "aws_ssm_patch_baseline" "predefined" {
  owner            = "AWS"
  name_prefix      = "AWS-"
  operating_system = "UBUNTU"
}

data "aws_ssm_patch_baseline" "predefined_windows" {
  owner            = "AWS"
  name_prefix      = "AWS-DefaultPatchBaseline"
  operating_system = "WINDOWS"
  default_baseline = true
}

data "aws_ssm_patch_baseline" "own" {
  owner       = "Self"
  name_prefix = aws_ssm_patch_baseline.windows.name
}

data "aws_ssm_patch_baselines" "own" {
  filter {
    key    = "OWNER"
    values = ["Self"]
  }
  depends_on = [aws_ssm_default_patch_baseline.debian]
}

output "baselines" {
  value = {
    predefined = data.aws_ssm_patch_baseline.predefined.name
    windows    = data.aws_ssm_patch_baseline.predefined_windows.name
    own        = data.aws_ssm_patch_baseline.own.id == aws_ssm_patch_baseline.windows.id
    whole      = jsondecode(data.aws_ssm_patch_baseline.own.json).Name
    filters    = length(data.aws_ssm_patch_baseline.own.approval_rule[1].patch_filter)
    default    = [for one in data.aws_ssm_patch_baselines.own.baseline_identities : one.baseline_name if one.default_baseline]
  }
}
