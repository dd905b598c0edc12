# SPDX-License-Identifier: Apache-2.0
# Parameters of every type and tier, and the three ways to read them.

resource "aws_ssm_parameter" "text" {
  name            = "/web/host"
  description     = local.changed ? "where it listens, changed" : "where it listens"
  type            = "String"
  value           = local.changed ? "web-2" : "web-1"
  allowed_pattern = "^web-\\d+$"
  tags            = local.changed ? { Environment = "Production", Owner = "web" } : { Environment = "Production", Stage = "blue" }
}

resource "aws_ssm_parameter" "list" {
  name  = "/web/ports"
  type  = "StringList"
  value = "80,443"
}

resource "aws_ssm_parameter" "secret" {
  name  = "/web/secrets/password"
  type  = "SecureString"
  value = local.changed ? "correct horse" : "battery staple"
}

resource "aws_ssm_parameter" "insecure" {
  name           = "/web/motto"
  type           = "String"
  insecure_value = local.changed ? "vidi" : "veni"
}

resource "aws_ssm_parameter" "advanced" {
  name  = "/web/long"
  type  = "String"
  tier  = "Advanced"
  value = join("", [for number in range(700) : "abcdefgh"])
}

resource "aws_ssm_parameter" "intelligent" {
  name  = "/web/small"
  type  = "String"
  tier  = "Intelligent-Tiering"
  value = local.changed ? "still small" : "small"
}

resource "aws_ssm_parameter" "typed" {
  name      = "plain"
  type      = "String"
  data_type = "text"
  value     = "no hierarchy"
}

data "aws_ssm_parameter" "secret" {
  name       = aws_ssm_parameter.secret.name
  depends_on = [aws_ssm_parameter.secret]
}

data "aws_ssm_parameters_by_path" "web" {
  path       = "/web"
  recursive  = true
  depends_on = [aws_ssm_parameter.text, aws_ssm_parameter.list, aws_ssm_parameter.insecure, aws_ssm_parameter.advanced, aws_ssm_parameter.intelligent]
}

output "parameters" {
  sensitive = true
  value = {
    secret = data.aws_ssm_parameter.secret.value
    types  = zipmap(data.aws_ssm_parameters_by_path.web.names, data.aws_ssm_parameters_by_path.web.types)
    arn    = aws_ssm_parameter.text.arn
  }
}
