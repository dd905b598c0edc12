# SPDX-License-Identifier: Apache-2.0
# Inventory and compliance kept in a bucket.

resource "aws_ssm_resource_data_sync" "bucket" {
  name = local.changed ? "to-the-other-bucket" : "to-the-bucket"

  s3_destination {
    bucket_name = "patch-reports"
    prefix      = "all"
    region      = "us-east-1"
    sync_format = "JsonSerDe"
  }
}
